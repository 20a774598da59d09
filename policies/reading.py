"""Reads a resource's inputs into plain values, and finds the pods in them. Not a policy.

The engine hands out proxies that are neither dict nor list, floats for every number, and raises on what a preview
cannot know. Here that becomes plain Python with `UNKNOWN` in those places, so a rule is an ordinary function of data
and cannot mistake "not known" for "not there".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pulumi_policy.proxy import UnknownValueError


class _Unknown:
    def __repr__(self) -> str:
        return "a value that is not known yet"


UNKNOWN: Final = _Unknown()
"""Stands where a preview cannot know the value."""

# Where the pod is in each kind that has one; () is the object itself.
POD_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "ReplicationController": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
CONTAINER_LISTS: Final = ("containers", "initContainers", "ephemeralContainers")


@dataclass(frozen=True, kw_only=True)
class Kubernetes:
    """The kind of a Kubernetes object, whatever its API version."""

    kind: str
    patch: bool
    """A `*Patch` resource: it states a part of an object that exists."""


@dataclass(frozen=True, kw_only=True)
class PodObject:
    """An object that makes pods."""

    kind: Kubernetes
    where: str
    """Path of the pod in the inputs, for messages; ends in a dot, or is empty."""
    metadata: Any
    """The object's own metadata."""
    pod_metadata: Any
    pod_spec: Any
    spec: Any
    """The object's own spec."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """One container of any of the three lists."""

    where: str
    value: Any
    ephemeral: bool


def plain(value: Any) -> Any:
    """The value as dict, list, str, int, float, bool or None, with `UNKNOWN` for what cannot be known."""
    if isinstance(value, Mapping):
        return {str(key): _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_item(value, index) for index in range(len(value))]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _item(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def kubernetes(resource_type: str) -> tuple[Kubernetes, bool] | None:
    """The kind behind a type such as `kubernetes:apps/v1:DeploymentPatch`, and whether it is a list of them.

    None for what is no Kubernetes object.
    """
    package, _, kind = resource_type.partition(":")
    if package != "kubernetes":
        return None
    kind = kind.rpartition(":")[2]
    patch = kind.endswith("Patch")
    kind = kind.removesuffix("Patch")
    of_many = kind.endswith("List")
    return Kubernetes(kind=kind.removesuffix("List"), patch=patch), of_many


def objects(resource_type: str, props: Any, kinds: Sequence[str]) -> list[tuple[Kubernetes, str, Any]]:
    """The objects of these kinds in a resource: itself, or the items of a list. Each with its path for messages."""
    found = kubernetes(resource_type)
    if found is None or found[0].kind not in kinds:
        return []
    kind, of_many = found
    value = plain(props)
    if not of_many:
        return [(kind, "", value)]
    items = value.get("items")
    if not isinstance(items, list):
        return [(kind, "items.", items)]
    return [(kind, f"items[{index}].", item) for index, item in enumerate(items)]


def dig(value: Any, *path: str) -> Any:
    """The value at the path; None where something on the way is missing or no object, `UNKNOWN` where unknown."""
    for key in path:
        if value is UNKNOWN:
            return UNKNOWN
        value = value.get(key) if isinstance(value, dict) else None
    return value


def pods(resource_type: str, props: Any) -> list[PodObject]:
    """Every pod that a resource makes; empty for one that makes none."""
    return [
        PodObject(
            kind=kind,
            where=where + "".join(f"{step}." for step in POD_PATHS[kind.kind]),
            metadata=dig(value, "metadata"),
            pod_metadata=dig(value, *POD_PATHS[kind.kind], "metadata"),
            pod_spec=dig(value, *POD_PATHS[kind.kind], "spec"),
            spec=dig(value, "spec"),
        )
        for kind, where, value in objects(resource_type, props, tuple(POD_PATHS))
    ]


def containers(pod: PodObject) -> tuple[list[Container], list[str]]:
    """Every container of a pod, and what is wrong with the lists they stand in.

    A patch may leave the containers out: it then says nothing about them. Anything else without containers is wrong.
    """
    found: list[Container] = []
    wrong: list[str] = []
    if pod.kind.patch and pod.pod_spec is None:
        return found, wrong
    for name in CONTAINER_LISTS:
        where, value = f"{pod.where}spec.{name}", dig(pod.pod_spec, name)
        optional = pod.kind.patch or name != "containers"
        if isinstance(value, list) and (value or optional):
            ephemeral = name == "ephemeralContainers"
            found += [
                Container(where=f"{where}[{index}]", value=item, ephemeral=ephemeral)
                for index, item in enumerate(value)
            ]
        elif value is not None or not optional:
            wrong.append(f"{where}: got {value!r}; must be a list of containers")
    return found, wrong
