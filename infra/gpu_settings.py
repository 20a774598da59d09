"""The configuration object `gpu`: whether and how the serving pods get GPUs, and who measures these. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from infra.config_reader import DNS_LABEL, Reader, Rule, as_word

Operator = Literal["Exists", "Equal"]
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
OPERATORS: Final[tuple[Operator, ...]] = ("Exists", "Equal")
EFFECTS: Final[tuple[Effect, ...]] = ("NoSchedule", "PreferNoSchedule", "NoExecute")
NVIDIA: Final = "nvidia.com/gpu"

_DOMAIN: Final = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_NAME: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
RESOURCE_RULE: Final = Rule(
    # Kubernetes keeps its own domain for what nodes have by themselves.
    pattern=rf"(?!([a-z0-9.-]*\.)?kubernetes\.io/){_DOMAIN}/{_NAME}",
    words="an extended resource, DOMAIN/NAME, as the device plugin announces it",
    example=NVIDIA,
)
KEY_RULE: Final = Rule(
    pattern=rf"({_DOMAIN}/)?{_NAME}", words="the key of a label or taint, [DOMAIN/]NAME", example=NVIDIA
)
VALUE_RULE: Final = Rule(
    pattern=rf"({_NAME})?", words="a label's value: at most 63 letters, digits, dashes, dots", example="true"
)
CLASS_RULE: Final = Rule(pattern=_DOMAIN, words="the name of a RuntimeClass", example="nvidia")
SPACE_RULE: Final = Rule(pattern=DNS_LABEL, words="the name of a Kubernetes object", example="gpu-operator")


@dataclass(frozen=True, kw_only=True)
class Toleration:
    """A taint of GPU nodes that the serving pods do not mind."""

    key: str = NVIDIA
    operator: Operator = "Exists"
    value: str = ""
    """With `Equal` only."""
    effect: Effect = "NoSchedule"


@dataclass(frozen=True, kw_only=True)
class ExporterSettings:
    """The cluster's own DCGM exporter, one pod on each GPU node; the defaults are the GPU operator's."""

    enabled: bool = False
    namespace: str = "gpu-operator"
    service: str = "nvidia-dcgm-exporter"
    """Whose name Prometheus looks up; headless where there are several GPU nodes, so that it finds every pod."""
    pods: Mapping[str, str] = field(default_factory=lambda: {"app": "nvidia-dcgm-exporter"})
    """Labels of its pods, for the NetworkPolicy."""


@dataclass(frozen=True, kw_only=True)
class GpuSettings:
    """GPUs for the serving pods of both slots."""

    enabled: bool = False
    count: int = 1
    """Of each pod."""
    resource: str = NVIDIA
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = (Toleration(),)
    runtime_class: str = ""
    """Empty: the node's own runtime already gives containers their GPUs."""
    metrics: ExporterSettings = field(default_factory=ExporterSettings)

    @property
    def exporter(self) -> ExporterSettings | None:
        """What Prometheus scrapes; None without GPUs, or where nobody asked for it."""
        return self.metrics if self.enabled and self.metrics.enabled else None


def read(reader: Reader) -> GpuSettings:
    """The settings of the object; its problems land in the reader's list."""
    default = GpuSettings()
    found = GpuSettings(
        enabled=reader.flag("enabled", default=default.enabled),
        count=reader.integer("count", default.count, low=1, high=16),
        resource=reader.text("resource", default.resource, RESOURCE_RULE),
        node_selector=_labels(reader, "nodeSelector", default.node_selector),
        tolerations=_tolerations(reader, default.tolerations),
        runtime_class=reader.text("runtimeClass", default.runtime_class, CLASS_RULE),
        metrics=_exporter(reader.table("metrics"), default.metrics),
    )
    reader.finish()
    return found


def _exporter(reader: Reader, default: ExporterSettings) -> ExporterSettings:
    found = ExporterSettings(
        enabled=reader.flag("enabled", default=default.enabled),
        namespace=reader.text("namespace", default.namespace, SPACE_RULE),
        service=reader.text("service", default.service, SPACE_RULE),
        pods=_labels(reader, "pods", default.pods),
    )
    if not found.pods:
        # An empty selector of a NetworkPolicy means every pod of the namespace.
        reader.problem("pods", {}, "at least one label of the exporter's pods", '\'{"app": "nvidia-dcgm-exporter"}\'')
    reader.finish()
    return found


def _labels(reader: Reader, key: str, default: Mapping[str, str]) -> Mapping[str, str]:
    """A map of labels as a whole; the default where the key is not there."""
    inside = reader.table(key)
    if key not in reader.values:
        return default
    found: dict[str, str] = {}
    for name, typed in inside.values.items():
        value = as_word(typed)
        at = f'{key}["{name}"]'
        if re.fullmatch(KEY_RULE.pattern, name) is None:
            reader.problem(key, {name: value}, f"labels, each named by {KEY_RULE.words}", "'{}'")
        elif not isinstance(value, str) or re.fullmatch(VALUE_RULE.pattern, value) is None:
            reader.problem(at, value, VALUE_RULE.words, VALUE_RULE.example)
        else:
            found[name] = value
    return found


def _tolerations(reader: Reader, default: tuple[Toleration, ...]) -> tuple[Toleration, ...]:
    entries = reader.rows("tolerations")
    return default if entries is None else tuple(_toleration(entry) for entry in entries)


def _toleration(reader: Reader) -> Toleration:
    default = Toleration()
    if "key" not in reader.values:
        # Without a key Kubernetes would tolerate every taint there is.
        reader.problem("key", None, f"given: {KEY_RULE.words}", KEY_RULE.example)
    value = reader.word("value", default.value, VALUE_RULE)
    found = Toleration(
        key=reader.text("key", default.key, KEY_RULE),
        operator=reader.choice("operator", "Equal" if value else "Exists", OPERATORS),
        value=value,
        effect=reader.choice("effect", default.effect, EFFECTS),
    )
    if bool(found.value) != (found.operator == "Equal"):
        reader.problem("value", found.value, "given with operator Equal, and with no other", VALUE_RULE.example)
    reader.finish()
    return found
