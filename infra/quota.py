"""What a stack's namespace may use at most: both slots at their largest, and the platform. Pure.

A quota that is too small shows when it hurts most: the idle slot cannot grow to take the live one's traffic.
"""

import math
from collections.abc import Mapping
from typing import Final

from infra.config_reader import cpu_cores, size_bytes
from infra.names import SLOTS
from infra.settings import ComputeSettings, Settings

SURGE: Final = 1
"""Pods of a slot above its number while it rolls."""

# Room for both slots as `Pulumi.yaml` has them (six pods of 250m/512Mi to 500m/1Gi, and a surge) and for the platform;
# a runaway job stops here. Slots that are configured larger add what they need more, and smaller ones take nothing.
_BASE: Final[Mapping[str, str]] = {
    "requests.cpu": "16",
    "requests.memory": "24Gi",
    "requests.ephemeral-storage": "16Gi",
    "limits.cpu": "40",
    "limits.memory": "48Gi",
    "limits.ephemeral-storage": "48Gi",
    "pods": "80",
    "persistentvolumeclaims": "8",
    "services.loadbalancers": "2",
    "services.nodeports": "10",
}
_INCLUDED: Final = Settings(stack="default")
_EPHEMERAL_MIB: Final = {"requests": 32, "limits": 256}
"""Of a serving container, see `infra.backing.pods.Resources`."""
_MIB: Final = 2**20


def quota(settings: Settings) -> dict[str, str]:
    """The `hard` part of the namespace's ResourceQuota."""
    found = dict(_BASE)
    more_pods = max(most_slot_pods(settings) - most_slot_pods(_INCLUDED), 0)
    found["pods"] = str(int(_BASE["pods"]) + more_pods)
    for kind, wanted, included in (
        ("requests", settings.requests, _INCLUDED.requests),
        ("limits", settings.limits, _INCLUDED.limits),
    ):
        cores = _cores(settings, wanted) - _cores(_INCLUDED, included)
        if cores > 0:
            found[f"{kind}.cpu"] = _more_cores(_BASE[f"{kind}.cpu"], cores)
        mebibytes = _mebibytes(settings, wanted) - _mebibytes(_INCLUDED, included)
        if mebibytes > 0:
            found[f"{kind}.memory"] = _more_bytes(_BASE[f"{kind}.memory"], mebibytes)
        if more_pods:
            storage = f"{kind}.ephemeral-storage"
            found[storage] = _more_bytes(_BASE[storage], more_pods * _EPHEMERAL_MIB[kind])
    if settings.gpu.enabled:
        # Of an extended resource Kubernetes counts requests only.
        found[f"requests.{settings.gpu.resource}"] = str(most_slot_pods(settings) * settings.gpu.count)
    return found


def most_slot_pods(settings: Settings) -> int:
    """Pods of both slots together, while each is at its largest and rolls."""
    return len(SLOTS) * (settings.most_pods + SURGE)


def _cores(settings: Settings, each: ComputeSettings) -> float:
    return most_slot_pods(settings) * (cpu_cores(each.cpu) or 0)


def _mebibytes(settings: Settings, each: ComputeSettings) -> float:
    return most_slot_pods(settings) * (size_bytes(each.memory) or 0) / _MIB


def _more_cores(base: str, cores: float) -> str:
    """As Kubernetes writes it, so that a refresh finds what was asked for."""
    whole = math.ceil(((cpu_cores(base) or 0) + cores) * 1000)
    return f"{whole}m" if whole % 1000 else str(whole // 1000)


def _more_bytes(base: str, mebibytes: float) -> str:
    whole = math.ceil((size_bytes(base) or 0) / _MIB + mebibytes)
    return f"{whole}Mi" if whole % 1024 else f"{whole // 1024}Gi"
