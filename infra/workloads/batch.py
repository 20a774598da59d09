"""Batch prediction over shards: an Indexed Job on a volume, with the model of the slot that is live when it starts.

Nothing here touches traffic. A worker of the Job predicts one shard; the one that finds all shards done gathers the run
(`ml.batch.gather`). There is no pod that only waits for the others: it would hold a place that a shard needs, and a
shard that failed for good would leave it waiting. A worker that is killed before it could gather has not ended well, so
Kubernetes starts its successor, which finds its shard done and gathers: so a run that can end always does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import Job, JobSpecArgs
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs

from infra.backing.pods import Resources, claim_volume, container, mount, pod_spec, scratch
from infra.backing.workloads import Identity, claim
from infra.batch_settings import BatchSettings
from infra.names import BATCH
from infra.workloads.indexed import KEEP_S, STARTED, TRIES, failure_policy

_VOLUME: Final = "/volume"
_RELEASE: Final = "/release"
# Copied into a folder below the volume's root, which does not belong to the pod's user.
_COPY: Final = f"import shutil; shutil.copytree('/model', '{_RELEASE}/model', dirs_exist_ok=True)"
_SPARE_S: Final = 600  # pulling the images
_COPY_RESOURCES: Final = Resources(
    cpu_request="20m", memory_request="32Mi", cpu_limit="200m", memory_limit="128Mi", ephemeral_limit="128Mi"
)


@dataclass(frozen=True, kw_only=True)
class BatchArgs:
    """What predicts, and what it may reach."""

    namespace: pulumi.Input[str]
    settings: BatchSettings
    image: pulumi.Input[str]
    """`images/training`, by digest: it can read Parquet, which the model server's image cannot."""
    model_image: pulumi.Input[str]
    """Of the live slot, by digest: its release is what predicts."""
    service_account: pulumi.Input[str]
    push_url: pulumi.Input[str]
    """The Pushgateway's."""
    storage_class: str = ""
    after: Sequence[pulumi.Resource] = ()
    """What must be there before a run starts; a child does not inherit it from the component's options."""
    resources: Resources = field(
        default_factory=lambda: Resources(
            cpu_request="200m", memory_request="384Mi", cpu_limit="1", memory_limit="1536Mi", ephemeral_limit="512Mi"
        ),
    )


class Batch(pulumi.ComponentResource):
    """The volume and the run that the configuration asks for."""

    def __init__(self, name: str, args: BatchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:workloads:Batch", name, None, opts)
        settings = args.settings
        made: dict[str, pulumi.Output[str]] = {}
        of = Identity(name=BATCH, component="batch", namespace=args.namespace, parent=self)
        volume: pulumi.Input[str] = settings.claim
        if settings.size:
            volume = made["claim"] = claim(of, settings.size, args.storage_class).metadata.name
        if settings.run:
            made["run"] = self._run(of, args, volume).metadata.name
        self.register_outputs(made)

    def _run(self, of: Identity, args: BatchArgs, volume: pulumi.Input[str]) -> Job:
        settings = args.settings
        name = f"{BATCH}-{settings.run}"
        return Job(
            name,
            metadata=of.metadata(name, annotations=STARTED),
            spec=JobSpecArgs(
                completion_mode="Indexed",
                completions=settings.shards,
                parallelism=min(settings.parallelism, settings.shards),
                backoff_limit_per_index=TRIES,
                active_deadline_seconds=settings.minutes * 60 + _SPARE_S,
                ttl_seconds_after_finished=KEEP_S,
                pod_failure_policy=failure_policy(BATCH),
                template=of.template(_pod(args, volume)),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(args.after),
                # A run stays with the release that it began with: the next one to go live is a reason for another run.
                ignore_changes=[
                    f"spec.template.spec.{containers}[0].image" for containers in ("initContainers", "containers")
                ],
            ),
        )


def _pod(args: BatchArgs, volume: pulumi.Input[str]) -> PodSpecArgs:
    return pod_spec(
        service_account=args.service_account,
        restart_policy="Never",
        init_containers=[_release(args)],
        containers=[_worker(args)],
        volumes=[claim_volume("volume", volume), scratch("release", "64Mi"), scratch("tmp", "256Mi")],
        # Whatever it is at is made anew by the next one; there is nothing to finish.
        grace_s=5,
    )


def _release(args: BatchArgs) -> ContainerArgs:
    """The release out of the image that serves it; the worker verifies what it gets."""
    return container(
        "release",
        image=args.model_image,
        resources=_COPY_RESOURCES,
        command=["python3", "-S", "-c", _COPY],
        mounts=[mount("release", _RELEASE, read_only=False)],
    )


def _worker(args: BatchArgs) -> ContainerArgs:
    settings = args.settings
    words: list[pulumi.Input[str]] = [
        f"--run={settings.run}",
        f"--release-dir={_RELEASE}/model",
        f"--input={_VOLUME}/{settings.input}",
        f"--output={_VOLUME}/{settings.folder}",
        f"--shards={settings.shards}",
        f"--format={settings.format}",
        f"--max-dead-share={settings.max_dead_share:g}",
        "--wait",
        pulumi.Output.format("--push={0}", args.push_url),
        "--result=/dev/termination-log",
    ]
    if settings.keep:
        words.append(f"--keep={settings.keep}")
    return container(
        BATCH,
        image=args.image,
        resources=args.resources,
        command=["python3", "-m", "ml.batch"],
        args=words,
        mounts=[
            mount("release", _RELEASE),
            mount("volume", _VOLUME, read_only=False),
            mount("tmp", "/tmp", read_only=False),  # noqa: S108  (a volume of its own)
        ],
    )
