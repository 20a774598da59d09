"""The nightly question whether live inputs still look like the training data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob, CronJobSpecArgs, JobSpecArgs, JobTemplateSpecArgs
from pulumi_kubernetes.core.v1 import PodSpecArgs
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.backing.pods import Resources, config_volume, container, mount, pod_spec, scratch
from infra.backing.workloads import Identity, config
from infra.names import Slot

NAME: Final = "drift-check"
_RELEASE: Final = "/model"
# Past a schedule by more than this, a check is skipped: the next one sees the same window.
_START_WITHIN_S: Final = 3600


@dataclass(frozen=True, kw_only=True)
class DriftCheckArgs:
    """One CronJob."""

    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    """`images/worker`, by digest."""
    service_account: pulumi.Input[str]
    release_files: Mapping[str, pulumi.Input[str]]
    """`serving.json` and `record.json` of the live release: name -> content, under 1 MiB together."""
    live_slot: Slot
    """Its counters are judged; those of the idle slot are not traffic."""
    schedule: str = "17 3 * * *"
    window: str = "24h"
    """How far back the live inputs reach, a PromQL duration; at least the schedule's period."""
    prometheus_url: pulumi.Input[str] = "http://prometheus:9090"
    deadline_s: int = 600
    resources: Resources = field(
        default_factory=lambda: Resources(
            cpu_request="50m", memory_request="128Mi", cpu_limit="1", memory_limit="512Mi"
        ),
    )


class DriftCheck(pulumi.ComponentResource):
    """A CronJob whose failed Job is the alarm; its last log lines are the Job's message."""

    name: pulumi.Output[str]
    """Name of the CronJob: `kubectl create job --from=cronjob/NAME` runs it now."""

    def __init__(self, name: str, args: DriftCheckArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:workloads:DriftCheck", name, None, opts)
        of = Identity(name=NAME, component="drift", namespace=args.namespace, parent=self)
        release = config(of, "release", args.release_files)
        job = JobSpecArgs(
            # A verdict does not change by asking again; a broken check shows in the alert.
            backoff_limit=0,
            active_deadline_seconds=args.deadline_s,
            template=of.template(_pod(args, release.metadata.name)),
        )
        created = CronJob(
            of.name,
            metadata=of.metadata(),
            spec=CronJobSpecArgs(
                schedule=args.schedule,
                time_zone="Etc/UTC",
                concurrency_policy="Forbid",
                starting_deadline_seconds=_START_WITHIN_S,
                successful_jobs_history_limit=3,
                # The alert compares the newest failure with the newest success: both must still be there.
                failed_jobs_history_limit=3,
                job_template=JobTemplateSpecArgs(metadata=ObjectMetaArgs(labels=of.labels), spec=job),
            ),
            opts=of.opts,
        )
        self.name = created.metadata.name
        self.register_outputs({"name": self.name})


def _pod(args: DriftCheckArgs, release: pulumi.Input[str]) -> PodSpecArgs:
    check = container(
        "drift-check",
        image=args.image,
        resources=args.resources,
        command=["python3", "-m", "ml.drift"],
        args=[
            pulumi.Output.format("--prometheus={0}", args.prometheus_url),
            f"--release-dir={_RELEASE}",
            f"--window={args.window}",
            f"--match=slot={args.live_slot}",
        ],
        mounts=[mount("release", _RELEASE), mount("tmp", "/tmp", read_only=False)],  # noqa: S108  (a volume of its own)
    )
    return pod_spec(
        service_account=args.service_account,
        restart_policy="Never",
        containers=[check],
        volumes=[config_volume("release", release), scratch("tmp")],
    )
