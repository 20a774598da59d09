"""Training in the cluster: a search as an Indexed Job on one shared study, and CronJobs that train a candidate.

Nothing here touches traffic. A search leaves its result in the first pod's termination message (`mlp search result`), a
retraining leaves a candidate run in MLflow; how either becomes a release is in docs/training.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import (
    CronJob,
    CronJobSpecArgs,
    Job,
    JobSpecArgs,
    JobTemplateSpecArgs,
)
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs, VolumeArgs
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.backing.pods import Resources, container, mount, pod_spec, scratch, secret_volume
from infra.backing.workloads import Identity
from infra.training_settings import TrainingSettings
from infra.workloads.indexed import KEEP_S, STARTED, TRIES, failure_policy
from ml.training.plan import SEED

SEARCH: Final = "search"
RETRAIN: Final = "retrain"
DATABASE: Final = "training"
DRIFT_SCHEDULE: Final = "43 * * * *"
"""How often the alert is looked at. A look that finds nothing ends within seconds."""

_ADDRESS: Final = "postgresql+psycopg2://training@{0}/" + DATABASE
_SPARE_S: Final = 1800  # beyond the search's own minutes: pulling the image, loading the data, the trial that runs


@dataclass(frozen=True, kw_only=True)
class TrainingArgs:
    """What trains, and what it may reach."""

    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    """`images/training`, by digest."""
    settings: TrainingSettings
    problem: str
    """The problem's package."""
    search_account: pulumi.Input[str]
    retrain_account: pulumi.Input[str]
    database: pulumi.Input[str]
    """`host:port` of Postgres."""
    database_secret: pulumi.Input[str]
    """Secret with the key `password` of the role `training`."""
    mlflow_secret: pulumi.Input[str]
    """Secret with the keys `username` and `password`."""
    mlflow_url: pulumi.Input[str]
    prometheus_url: pulumi.Input[str]
    push_url: pulumi.Input[str]
    """The Pushgateway's."""
    resources: Resources = field(
        default_factory=lambda: Resources(
            cpu_request="200m", memory_request="512Mi", cpu_limit="1", memory_limit="1536Mi", ephemeral_limit="1Gi"
        ),
    )


class Training(pulumi.ComponentResource):
    """The search and the retraining that the configuration asks for."""

    def __init__(self, name: str, args: TrainingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:workloads:Training", name, None, opts)
        settings = args.settings
        made: dict[str, pulumi.Output[str]] = {}
        if settings.study:
            made["search"] = self._search(args).metadata.name
        if settings.retrain:
            made["retrain"] = self._retrain(args, RETRAIN, settings.retrain, "schedule").metadata.name
        if settings.retrain_on_drift:
            made["retrain_on_drift"] = self._retrain(args, f"{RETRAIN}-on-drift", DRIFT_SCHEDULE, "drift").metadata.name
        self.register_outputs(made)

    def _search(self, args: TrainingArgs) -> Job:
        of = Identity(name=SEARCH, component="training", namespace=args.namespace, parent=self)
        settings = args.settings
        name = f"{SEARCH}-{settings.study}"
        return Job(
            name,
            metadata=of.metadata(name, annotations=STARTED),
            spec=JobSpecArgs(
                completion_mode="Indexed",
                completions=settings.workers,
                parallelism=settings.workers,
                backoff_limit_per_index=TRIES,
                active_deadline_seconds=settings.minutes * 60 + _SPARE_S,
                ttl_seconds_after_finished=KEEP_S,
                pod_failure_policy=failure_policy(SEARCH),
                template=of.template(_search_pod(args)),
            ),
            opts=of.opts,
        )

    def _retrain(self, args: TrainingArgs, name: str, schedule: str, reason: str) -> CronJob:
        of = Identity(name=RETRAIN, component="training", namespace=args.namespace, parent=self)
        job = JobSpecArgs(
            # One more try for what may pass; the rate limit counts candidates, not tries.
            backoff_limit=1,
            active_deadline_seconds=args.settings.minutes * 60 + _SPARE_S,
            template=of.template(_retrain_pod(args, reason)),
        )
        return CronJob(
            name,
            metadata=of.metadata(name),
            spec=CronJobSpecArgs(
                schedule=schedule,
                time_zone="Etc/UTC",
                concurrency_policy="Forbid",
                starting_deadline_seconds=3600,
                successful_jobs_history_limit=3,
                failed_jobs_history_limit=3,
                job_template=JobTemplateSpecArgs(metadata=ObjectMetaArgs(labels=of.labels), spec=job),
            ),
            opts=of.opts,
        )


def _search_pod(args: TrainingArgs) -> PodSpecArgs:
    settings = args.settings
    words: list[pulumi.Input[str]] = [
        f"--problem={args.problem}",
        f"--study={settings.study}",
        pulumi.Output.format("--storage=" + _ADDRESS, args.database),
        "--password-file=/run/secrets/training/password",
        f"--sampler={settings.sampler}",
        f"--seed={SEED}",
        f"--trials={settings.trials}",
        f"--minutes={settings.minutes}",
        "--result=/dev/termination-log",
    ]
    if settings.through:
        words.append(f"--through={settings.through}")
    worker = _container(SEARCH, args, "ml.training.worker", words, mounts={"secret": "/run/secrets/training"})
    return _pod(args.search_account, worker, [secret_volume("secret", args.database_secret)])


def _retrain_pod(args: TrainingArgs, reason: str) -> PodSpecArgs:
    words: list[pulumi.Input[str]] = [
        f"--problem={args.problem}",
        f"--reason={reason}",
        pulumi.Output.format("--mlflow={0}", args.mlflow_url),
        pulumi.Output.format("--prometheus={0}", args.prometheus_url),
        pulumi.Output.format("--push={0}", args.push_url),
        "--login=/run/secrets/mlflow",
        f"--trials={args.settings.trials}",
        f"--minutes={args.settings.minutes}",
        f"--sampler={args.settings.sampler}",
    ]
    trainer = _container(RETRAIN, args, "ml.training.retrain", words, mounts={"secret": "/run/secrets/mlflow"})
    return _pod(args.retrain_account, trainer, [secret_volume("secret", args.mlflow_secret)])


def _container(
    name: str, args: TrainingArgs, module: str, words: Sequence[pulumi.Input[str]], *, mounts: dict[str, str]
) -> ContainerArgs:
    return container(
        name,
        image=args.image,
        resources=args.resources,
        command=["python3", "-m", module],
        args=words,
        mounts=[
            *(mount(volume, path) for volume, path in mounts.items()),
            mount("tmp", "/tmp", read_only=False),  # noqa: S108  (a volume of its own)
        ],
    )


def _pod(account: pulumi.Input[str], one: ContainerArgs, volumes: Sequence[VolumeArgs]) -> PodSpecArgs:
    return pod_spec(
        service_account=account,
        restart_policy="Never",
        containers=[one],
        volumes=[*volumes, scratch("tmp", "512Mi")],
        # A worker that is asked to stop finishes the fold it is at.
        grace_s=60,
    )
