"""One slot: the Deployment that runs a release, its own Service, its autoscaler and its disruption budget.

The Deployment's selector never changes colour; traffic moves by the live Service's selector (`infra.delivery.switch`).
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.apps.v1.outputs import DeploymentSpec
from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscaler
from pulumi_kubernetes.core.v1 import (
    LifecycleArgs,
    LifecycleHandlerArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    Service,
    ServiceAccount,
    ServicePortArgs,
    ServiceSpecArgs,
    SleepActionArgs,
)
from pulumi_kubernetes.core.v1.outputs import Container
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from infra.autoscaling_settings import AutoscalingSettings
from infra.backing.pods import Resources, container, http_probe, mount, pod_spec, scratch, secret_volume
from infra.delivery import gpu
from infra.delivery.autoscaler import autoscaler_spec
from infra.gpu_settings import GpuSettings
from infra.names import (
    API_KEY_HASHES_FILE,
    API_KEYS_MOUNT,
    CONTAINER_PORT,
    MODEL,
    PREVIEW_SERVICE,
    SERVICE_PORT,
    SLOT_HASH_ANNOTATION,
    Slot,
    labels,
    selector,
    slot_name,
)
from infra.release import Evidence
from infra.shadow_settings import ShadowSettings

# What happens to a pod that has to go. First it only waits: kube-proxy on every node takes it out of the Services
# meanwhile. Then SIGTERM: answers close their connections, requests that run are finished. The rest is slack.
PRE_STOP_S: Final = 5
DRAIN_S: Final = 3
FINISH_S: Final = 10
SLACK_S: Final = 5
GRACE_S: Final = PRE_STOP_S + DRAIN_S + FINISH_S + SLACK_S

# A switch moves only new connections: one that is open stays with its pod, whatever the live Service selects. So every
# connection ends after this long, give or take the server's jitter, with `Connection: close` on an answer. Short, since
# a bad release keeps such a client until then; a new connection every three seconds costs nothing that can be measured.
CONNECTION_AGE_S: Final = 3

MIN_READY_S: Final = 3
START_S: Final = 60
"""How long a process may take to answer at all, on a busy node."""
AWAIT_S: Final = 300
"""How long `pulumi up` waits for a slot: half its own default, since a pod that cannot start does not get better."""
PROGRESS_DEADLINE_S: Final = 240


@dataclass(frozen=True, kw_only=True)
class ModelSlotArgs:
    """What one slot runs, decided in `infra.settings` and `infra.release`."""

    namespace: pulumi.Input[str]
    slot: Slot
    evidence: Evidence
    image: pulumi.Input[str]
    """By digest."""
    replicas: int
    resources: Resources
    autoscaling: AutoscalingSettings
    warm_s: int
    """How long its autoscaler keeps the slot's size once the load is gone."""
    monitoring_endpoint: pulumi.Input[str]
    key_hashes_secret: pulumi.Input[str]
    image_gate: pulumi.ResourceHook
    """Runs before the Deployment is created or changed."""
    occupied_gate: pulumi.ResourceHook
    """Runs before it is changed."""
    gpu: GpuSettings = field(default_factory=GpuSettings)
    shadow: ShadowSettings = field(default_factory=ShadowSettings)


class ModelSlot(pulumi.ComponentResource):
    """A release, running and reachable inside the namespace as `model-<colour>`."""

    image: pulumi.Output[str]
    """What the Deployment runs, from its outputs."""
    release: pulumi.Output[str]
    """The release that the Deployment says it runs."""
    hash: pulumi.Output[str]
    """See `infra.names.SLOT_HASH_ANNOTATION`."""

    def __init__(self, name: str, args: ModelSlotArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:delivery:ModelSlot", name, None, opts)
        account = ServiceAccount(
            f"{name}-account",
            metadata=_metadata(args),
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.hash = pulumi.Output.all(
            model=args.evidence.digest,
            image=args.image,
            environment=_environment(args),
            resources=asdict(args.resources),
            **gpu.hashed(args.gpu),
        ).apply(_hash)
        deployment = self._deployment(name, args, account.metadata.name)
        self._service(name, args)
        self._disruption_budget(name, args)
        if args.autoscaling.enabled:
            self._autoscaler(name, args, deployment)
        self.image = deployment.spec.apply(lambda spec: str(_container(spec).image))
        self.release = deployment.spec.apply(_release)
        self.register_outputs({"image": self.image, "release": self.release, "hash": self.hash})

    def _deployment(self, name: str, args: ModelSlotArgs, account: pulumi.Input[str]) -> Deployment:
        pod_labels = labels(MODEL, "serving", slot=args.slot, release=args.evidence.release)
        return Deployment(
            f"{name}-deployment",
            metadata=_metadata(
                args,
                annotations={**args.evidence.annotations, "pulumi.com/timeoutSeconds": str(AWAIT_S)},
                with_release=True,
            ),
            spec=DeploymentSpecArgs(
                replicas=args.replicas,
                selector=LabelSelectorArgs(match_labels=selector(MODEL, args.slot)),
                strategy=DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=1),
                ),
                min_ready_seconds=MIN_READY_S,
                progress_deadline_seconds=PROGRESS_DEADLINE_S,
                revision_history_limit=3,
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(
                        labels=pod_labels,
                        annotations={**args.evidence.pod_annotations, SLOT_HASH_ANNOTATION: self.hash},
                    ),
                    spec=_pod(args, account),
                ),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                # With an autoscaler, `replicas` is only the number to start with: the autoscaler owns it from then on,
                # and an update of the image must not scale a busy slot back.
                ignore_changes=["spec.replicas"] if args.autoscaling.enabled else None,
                hooks=pulumi.ResourceHookBinding(
                    before_create=[args.image_gate], before_update=[args.occupied_gate, args.image_gate]
                ),
            ),
        )

    def _service(self, name: str, args: ModelSlotArgs) -> Service:
        return Service(
            f"{name}-service",
            metadata=_metadata(
                args,
                # The Deployment's own wait proves the pods; the provider's wait for a Service costs ten more seconds.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                selector=selector(MODEL, args.slot),
                ports=[ServicePortArgs(name="http", port=SERVICE_PORT, target_port=CONTAINER_PORT)],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _disruption_budget(self, name: str, args: ModelSlotArgs) -> PodDisruptionBudget:
        return PodDisruptionBudget(
            f"{name}-budget",
            metadata=_metadata(args),
            spec=PodDisruptionBudgetSpecArgs(
                # One at a time, whatever the autoscaler has made of the number; never zero, which would block a drain.
                max_unavailable=1,
                selector=LabelSelectorArgs(match_labels=selector(MODEL, args.slot)),
                unhealthy_pod_eviction_policy="AlwaysAllow",
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _autoscaler(self, name: str, args: ModelSlotArgs, deployment: Deployment) -> HorizontalPodAutoscaler:
        return HorizontalPodAutoscaler(
            f"{name}-autoscaler",
            # A switch raises its minimum in the cluster, and whoever changes a field owns it: a change of the
            # configuration takes it over again instead of ending in a conflict.
            metadata=_metadata(args, annotations={"pulumi.com/patchForce": "true"}),
            spec=autoscaler_spec(deployment, args.autoscaling, args.warm_s),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _metadata(
    args: ModelSlotArgs,
    annotations: dict[str, str] | None = None,
    *,
    with_release: bool = False,
) -> ObjectMetaArgs:
    release = args.evidence.release if with_release else None
    return ObjectMetaArgs(
        name=slot_name(args.slot),
        namespace=args.namespace,
        labels=labels(MODEL, "serving", slot=args.slot, release=release),
        annotations=annotations,
    )


def _pod(args: ModelSlotArgs, account: pulumi.Input[str]) -> PodSpecArgs:
    serving = container(
        "model",
        image=args.image,
        resources=args.resources,
        env=_environment(args),
        ports={"http": CONTAINER_PORT},
        mounts=[mount("keys", API_KEYS_MOUNT), mount("tmp", "/tmp", read_only=False)],  # noqa: S108  (its own emptyDir)
        startup=http_probe("/health", "http", period_s=1, failures=START_S),
        # Patient: a pod that is asked too much answers late, and taking it away leaves its share to the others, until
        # none is left and the Service refuses everybody. What has to go leaves the Service by being asked to go.
        readiness=http_probe("/ready", "http", period_s=2, timeout_s=5, failures=5),
        liveness=http_probe("/health", "http", period_s=10, timeout_s=5, failures=6),
        lifecycle=LifecycleArgs(pre_stop=LifecycleHandlerArgs(sleep=SleepActionArgs(seconds=PRE_STOP_S))),
        devices=gpu.devices(args.gpu),
    )
    return pod_spec(
        service_account=account,
        containers=[serving],
        volumes=[secret_volume("keys", args.key_hashes_secret), scratch("tmp")],
        grace_s=GRACE_S,
        spread_over_nodes=selector(MODEL, args.slot),
        placement=gpu.placement(args.gpu),
    )


def _environment(args: ModelSlotArgs) -> dict[str, pulumi.Input[str]]:
    """Everything that the server is told. It stands in the pods themselves: nothing can be edited under them."""
    return {
        "MODEL_VERSION": args.evidence.release,
        "MONITORING_ENDPOINT": args.monitoring_endpoint,
        "API_KEYS_FILE": f"{API_KEYS_MOUNT}/{API_KEY_HASHES_FILE}",
        "DRAIN_SECONDS": str(DRAIN_S),
        "GRACE_SECONDS": str(FINISH_S),
        "CONNECTION_AGE_SECONDS": str(CONNECTION_AGE_S),
        **gpu.environment(args.gpu),
        **_mirror(args),
    }


def _mirror(args: ModelSlotArgs) -> dict[str, pulumi.Input[str]]:
    """Also without an idle slot, so that the live pods need not roll when one is filled."""
    if not args.shadow.enabled:
        return {}
    url = pulumi.Output.format("http://{0}.{1}.svc:{2}", PREVIEW_SERVICE, args.namespace, SERVICE_PORT)
    return {"SHADOW_URL": url, "SHADOW_SHARE": str(args.shadow.share)}


def _hash(parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _container(spec: DeploymentSpec) -> Container:
    pod = spec.template.spec
    if pod is None:
        raise ValueError("the Deployment has no pod spec")
    return pod.containers[0]


def _release(spec: DeploymentSpec) -> str:
    """What MODEL_VERSION says in the Deployment's outputs."""
    return next(str(variable.value) for variable in _container(spec).env or [] if variable.name == "MODEL_VERSION")
