"""Postgres: one instance with its volume, for MLflow's runs, registry and users, and for the studies of searches.

One replica, hence no PodDisruptionBudget: with one pod it could only forbid every node drain or allow all of them.
High availability is an operator's job or a managed database's; `TrackingArgs.database` takes such an address.
"""

from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetSpecArgs
from pulumi_kubernetes.core.v1 import PersistentVolumeClaimArgs, PodSpecArgs
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.backing.pods import (
    Resources,
    container,
    exec_probe,
    mount,
    pod_spec,
    scratch,
    secret_volume,
)
from infra.backing.workloads import READY_WITHIN_S, Identity, claim_spec, service
from infra.names import DATABASE_MOUNT, PASSWORD_FIELD, TRAINING_MOUNT

PORT: Final = 5432
PASSWORD_KEY: Final = PASSWORD_FIELD
"""Key of each Secret that holds a role's password."""

_READY: Final = ("pg_isready", "--quiet", "--host=/run/postgresql")


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """One instance."""

    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    """`images/postgres`, by digest."""
    service_account: pulumi.Input[str]
    auth_secret: pulumi.Input[str]
    """Secret with the key `password`, of the role `mlflow`."""
    training_secret: pulumi.Input[str]
    """Secret with the same key, of the role `training`."""
    storage: str = "5Gi"
    storage_class: str = ""
    resources: Resources = field(
        default_factory=lambda: Resources(
            cpu_request="50m", memory_request="128Mi", cpu_limit="1", memory_limit="512Mi"
        ),
    )


class Postgres(pulumi.ComponentResource):
    """StatefulSet, Service and volume; data checksums on, SCRAM only, on the network one role for each use."""

    address: pulumi.Output[str]
    """`host:port` inside the namespace, known once the instance is ready."""

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:backing:Postgres", name, None, opts)
        of = Identity(name="postgres", component="storage", namespace=args.namespace, parent=self)
        service(of, PORT, headless=True)
        instance = self._stateful_set(of, args)
        self.address = pulumi.Output.format("{0}:{1}", instance.metadata.name, PORT)
        self.register_outputs({"address": self.address})

    def _stateful_set(self, of: Identity, args: PostgresArgs) -> StatefulSet:
        return StatefulSet(
            of.name,
            metadata=of.metadata(annotations={"pulumi.com/timeoutSeconds": str(READY_WITHIN_S)}),
            spec=StatefulSetSpecArgs(
                service_name=of.name,
                replicas=1,
                selector=LabelSelectorArgs(match_labels=of.selector),
                template=of.template(self._pod(args)),
                volume_claim_templates=[
                    PersistentVolumeClaimArgs(
                        metadata=ObjectMetaArgs(name="data", labels=of.selector),
                        spec=claim_spec(args.storage, args.storage_class),
                    ),
                ],
            ),
            opts=of.opts,
        )

    def _pod(self, args: PostgresArgs) -> PodSpecArgs:
        return pod_spec(
            service_account=args.service_account,
            # A fast shutdown writes a checkpoint: seconds here, more with a busy volume.
            grace_s=60,
            containers=[
                container(
                    "postgres",
                    image=args.image,
                    resources=args.resources,
                    ports={"main": PORT},
                    mounts=[
                        mount("data", "/var/lib/database", read_only=False),
                        mount("secret", DATABASE_MOUNT),
                        mount("training-secret", TRAINING_MOUNT),
                        mount("socket", "/run/postgresql", read_only=False),
                        mount("tmp", "/tmp", read_only=False),  # noqa: S108  (a volume of its own in the container)
                    ],
                    # The first start makes the cluster, and a start after a crash replays the log: ten minutes.
                    startup=exec_probe(_READY, period_s=2, failures=300),
                    readiness=exec_probe(_READY, period_s=5),
                    liveness=exec_probe(_READY, period_s=20, failures=6),
                ),
            ],
            volumes=[
                secret_volume("secret", args.auth_secret),
                secret_volume("training-secret", args.training_secret),
                scratch("socket", "1Mi", in_memory=True),
                scratch("tmp"),
            ],
        )
