"""The stack's configuration as one frozen value; the only reader of pulumi's configuration.

`parse` is pure and reports every problem at once. Defaults stand here and, for people and the CLI, in `Pulumi.yaml`;
a test holds the two together. Everything after `load_settings()` sees plain values.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import pulumi
from pulumi.runtime import config as runtime_config

from infra import (
    analysis_settings,
    autoscaling_settings,
    batch_settings,
    canary_settings,
    gpu_settings,
    node_port_settings,
    shadow_settings,
    training_settings,
)
from infra.acceptance import accept_waivers
from infra.analysis_settings import AnalysisSettings
from infra.autoscaling_settings import AutoscalingSettings
from infra.batch_settings import BatchSettings
from infra.canary_settings import CanarySettings
from infra.cluster import Cluster, named
from infra.config_reader import CPU_RULE, SIZE_RULE, Reader, Rule, cpu_cores, size_bytes
from infra.gpu_settings import GpuSettings
from infra.names import DIGEST_PATTERN, KNOWN_IMAGES, PLATFORM_IMAGES, PROJECT, SLOTS, TRAINING_IMAGE, Slot, namespace
from infra.node_port_settings import NodePortSettings
from infra.shadow_settings import ShadowSettings
from infra.training_settings import CRON_RULE, TrainingSettings
from ml.errors import ConfigError, PipelineError
from ml.gate.accepted import KEY, Acceptance
from ml.release.record import RELEASE_ID

ServiceType = Literal["LoadBalancer", "NodePort", "ClusterIP"]
SERVICE_TYPES: Final[tuple[ServiceType, ...]] = ("LoadBalancer", "NodePort", "ClusterIP")

_DIGEST: Final = Rule(
    pattern=DIGEST_PATTERN,
    words="an image by digest, NAME@sha256: and 64 hex digits",
    example="REGISTRY/NAME@sha256:DIGEST",
)
_RELEASE: Final = Rule(
    pattern=RELEASE_ID.pattern,
    words="a release id: a folder of releases/",
    example="flights-0001",
)
_REGISTRY: Final = Rule(
    pattern=r"[a-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9._-]+)*",
    words="host[:port][/path] of a registry",
    example="127.0.0.1:5000",
)
_URL: Final = Rule(
    pattern=r"https?://[^\s/]+(/\S*)?", words="an http or https URL", example="http://prometheus.monitoring.svc:9090"
)
_NAME: Final = Rule(pattern=r"[A-Za-z0-9][A-Za-z0-9._:@/-]*", words="a name", example="NAME")
_STACK: Final = r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?"


@dataclass(frozen=True, kw_only=True)
class SlotSettings:
    """What one slot holds."""

    release: str
    image: str | None = None
    """By digest, proven by another stack; None: this stack builds it."""


@dataclass(frozen=True, kw_only=True)
class ComputeSettings:
    """One request or limit of a serving container."""

    cpu: str
    memory: str


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """The volumes of the platform."""

    storage_class: str = ""
    """Empty: the cluster's default class."""
    postgres: str = "5Gi"
    mlflow: str = "10Gi"
    prometheus: str = "10Gi"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the program decides with."""

    stack: str
    slots: Mapping[Slot, SlotSettings] = field(default_factory=dict)
    live: Slot = "blue"
    """The slot that takes traffic; meaningless while `slots` is empty."""
    replicas: int = 3
    requests: ComputeSettings = field(default_factory=lambda: ComputeSettings(cpu="250m", memory="512Mi"))
    limits: ComputeSettings = field(default_factory=lambda: ComputeSettings(cpu="500m", memory="1Gi"))
    service_type: ServiceType = "LoadBalancer"
    node_ports: NodePortSettings = field(default_factory=NodePortSettings)
    autoscaling: AutoscalingSettings = field(default_factory=AutoscalingSettings)
    registry: str = "127.0.0.1:5000"
    build: bool = True
    images: Mapping[str, str] = field(default_factory=dict)
    """Platform image name -> reference by digest; what is not in it is built."""
    storage: StorageSettings = field(default_factory=StorageSettings)
    monitoring_endpoint: str = ""
    """Where serving pods find Prometheus; empty: the stack's own."""
    kube_context: str = ""
    drift_schedule: str = "17 3 * * *"
    accept_waivers: tuple[Acceptance, ...] = ()
    training: TrainingSettings = field(default_factory=TrainingSettings)
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    batch: BatchSettings = field(default_factory=BatchSettings)
    gpu: GpuSettings = field(default_factory=GpuSettings)
    shadow: ShadowSettings = field(default_factory=ShadowSettings)
    canary: CanarySettings = field(default_factory=CanarySettings)

    @property
    def platform_images(self) -> tuple[str, ...]:
        """What this stack's own pods run."""
        wanted = self.training.enabled or self.batch.enabled
        return (*PLATFORM_IMAGES, TRAINING_IMAGE) if wanted else PLATFORM_IMAGES

    @property
    def most_pods(self) -> int:
        """How many pods each slot may have, a surge not counted."""
        return self.autoscaling.max if self.autoscaling.enabled else self.replicas

    @property
    def namespace(self) -> str:
        """The stack's namespace."""
        return namespace(self.stack)

    @property
    def exposed_as(self) -> ServiceType:
        """Type of the Services people open in a browser, and of the preview: never a public address by default."""
        return "NodePort" if self.service_type == "NodePort" else "ClusterIP"


def load_settings() -> Settings:
    """The settings of the stack that is being deployed.

    Raises:
        pulumi.RunError: With every problem of the configuration at once; ends the program without a traceback.
    """
    try:
        return parse(_declared(), pulumi.get_stack())
    except PipelineError as error:
        raise pulumi.RunError(str(error)) from error


def load_cluster(settings: Settings) -> Cluster:
    """The cluster to deploy to; a `pulumi.RunError` when nobody named one that can be read."""
    try:
        return named(os.environ, settings.kube_context)
    except PipelineError as error:
        raise pulumi.RunError(str(error)) from error


def _declared() -> dict[str, object]:
    """Every configuration value in this project's namespace.

    `pulumi.Config` answers for one key at a time, and an unknown key must be found; so this reads the maps behind it.
    """
    found = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    prefix = f"{PROJECT}:"
    return {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}


def parse(values: Mapping[str, object], stack: str) -> Settings:
    """Settings from raw values: text, or JSON text for objects.

    Raises:
        ConfigError: Naming every problem: key, value, rule and the command that mends it.
    """
    reader = Reader(values, stack)
    _check_name(stack, reader)
    default = Settings(stack=stack)
    settings = Settings(
        stack=stack,
        slots=_slots(reader.table("slots")),
        live=reader.choice("live", default.live, SLOTS),
        replicas=reader.integer("replicas", default.replicas, low=1, high=100),
        requests=_compute(reader.table("requests"), default.requests),
        limits=_compute(reader.table("limits"), default.limits),
        service_type=reader.choice("serviceType", default.service_type, SERVICE_TYPES),
        node_ports=node_port_settings.read(reader.table("nodePorts")),
        autoscaling=autoscaling_settings.read(reader.table("autoscaling")),
        registry=reader.text("registry", default.registry, _REGISTRY),
        build=reader.flag("build", default=default.build),
        images=_images(reader.table("images")),
        storage=_storage(reader.table("storage"), default.storage),
        monitoring_endpoint=reader.text("monitoringEndpoint", default.monitoring_endpoint, _URL),
        kube_context=reader.text("kubeContext", default.kube_context, _NAME),
        accept_waivers=accept_waivers(reader.table(KEY)),
        drift_schedule=reader.text("driftSchedule", default.drift_schedule, CRON_RULE),
        training=training_settings.read(reader.table("training")),
        analysis=analysis_settings.read(reader.table("analysis")),
        batch=batch_settings.read(reader.table("batch")),
        gpu=gpu_settings.read(reader.table("gpu")),
        shadow=shadow_settings.read(reader.table("shadow")),
        canary=canary_settings.read(reader.table("canary")),
    )
    reader.finish()
    _check_together(settings, reader)
    _refuse(reader.problems, stack)
    return settings


def _refuse(problems: Sequence[str], stack: str) -> None:
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        noun = "problem" if len(problems) == 1 else "problems"
        raise ConfigError("ML-CONF-001", f"stack {stack!r}: {len(problems)} configuration {noun}{listed}")


def _slots(reader: Reader) -> dict[Slot, SlotSettings]:
    found: dict[Slot, SlotSettings] = {}
    for slot in SLOTS:
        if slot not in reader.values:
            continue
        inside = reader.table(slot)
        if "release" not in inside.values:
            inside.problem("release", None, f"given: {_RELEASE.words}", _RELEASE.example)
        found[slot] = SlotSettings(
            release=inside.optional_text("release", _RELEASE) or "",
            image=inside.optional_text("image", _DIGEST),
        )
        inside.finish()
    reader.finish(known=SLOTS)
    return found


def _compute(reader: Reader, default: ComputeSettings) -> ComputeSettings:
    found = ComputeSettings(
        cpu=reader.quantity("cpu", default.cpu, CPU_RULE),
        memory=reader.quantity("memory", default.memory, SIZE_RULE),
    )
    reader.finish()
    return found


def _images(reader: Reader) -> dict[str, str]:
    found = {name: reference for name in KNOWN_IMAGES if (reference := reader.optional_text(name, _DIGEST)) is not None}
    reader.finish()
    return found


def _storage(reader: Reader, default: StorageSettings) -> StorageSettings:
    found = StorageSettings(
        storage_class=reader.text("class", default.storage_class, _NAME),
        postgres=reader.quantity("postgres", default.postgres, SIZE_RULE),
        mlflow=reader.quantity("mlflow", default.mlflow, SIZE_RULE),
        prometheus=reader.quantity("prometheus", default.prometheus, SIZE_RULE),
    )
    reader.finish()
    return found


def _check_name(stack: str, reader: Reader) -> None:
    if re.fullmatch(_STACK, stack) is None:
        reader.problems.append(
            f"stack {stack!r}: must be lower-case letters, digits and dashes. Fix: pulumi stack init"
        )


def _check_together(settings: Settings, reader: Reader) -> None:
    """The rules between keys."""
    for resource, amount in (("cpu", cpu_cores), ("memory", size_bytes)):
        request, limit = getattr(settings.requests, resource), getattr(settings.limits, resource)
        if (amount(request) or 0) > (amount(limit) or 0):
            reader.within("limits").problem(resource, limit, f"at least the request, which is {request}", request)
    if settings.slots and settings.live not in settings.slots:
        held = ", ".join(settings.slots)
        reader.problem("live", settings.live, f"a slot that holds a release: {held}", next(iter(settings.slots)))
    if settings.batch.run and not settings.slots:
        reader.within("slots").problem("blue.release", None, "given: a batch run takes the live slot's", "flights-0001")
    if settings.canary.weight and len(settings.slots) < len(SLOTS):
        got = f"{settings.canary.weight} with {', '.join(settings.slots) or 'no slot'} alone"
        reader.within("canary").problem("weight", got, "0 while the idle slot is empty", "0")
    if not settings.build:
        _check_nothing_to_build(settings, reader)


def _check_nothing_to_build(settings: Settings, reader: Reader) -> None:
    missing = [f"images.{name}" for name in settings.platform_images if name not in settings.images]
    missing += [f"slots.{slot}.image" for slot, held in settings.slots.items() if held.image is None]
    if missing:
        reader.problems.append(
            f"ml-pipeline:build: got False; then every image must be given by digest, and these are not: "
            f"{', '.join(missing)}. Fix: mlp promote --from staging --to {settings.stack}",
        )
