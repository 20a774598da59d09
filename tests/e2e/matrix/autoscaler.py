"""A slot's autoscaler, and what rows do to it."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

from tests.e2e.bench import Bench
from tests.e2e.matrix.watching import Watching
from tests.e2e.reads import STAGING


def autoscaler(bench: Bench, slot: str) -> dict[str, Any]:
    """The object."""
    found: dict[str, Any] = bench.machine.kubectl("get", "hpa", f"model-{slot}", "-n", STAGING)
    return found


def condition(bench: Bench, slot: str, name: str) -> str:
    """A condition's status with its reason, such as `False FailedGetResourceMetric`."""
    for one in autoscaler(bench, slot)["status"].get("conditions", []):
        if one["type"] == name:
            return f"{one['status']} {one['reason']}"
    return f"no condition {name}"


def desired(bench: Bench, slot: str) -> int:
    """How many pods it last wanted."""
    return int(autoscaler(bench, slot)["status"].get("desiredReplicas", 0))


def replicas(bench: Bench, slot: str) -> int:
    """How many pods the slot's Deployment is to have."""
    return int(bench.machine.kubectl("get", "deployment", f"model-{slot}", "-n", STAGING)["spec"]["replicas"])


@contextmanager
def hasty(bench: Bench, slot: str) -> Iterator[None]:
    """It takes pods away at once, not only after five minutes of little load, while the block lasts."""
    _patch(bench, slot, {"scaleDown": {"stabilizationWindowSeconds": 0}})
    try:
        yield
    finally:
        _patch(bench, slot, None)


def _patch(bench: Bench, slot: str, behavior: object) -> None:
    change = json.dumps({"spec": {"behavior": behavior}})
    bench.machine.run("kubectl", "patch", "hpa", f"model-{slot}", "-n", STAGING, "--type=merge", "-p", change)


class Watch(Watching):
    """Looks at a slot every few seconds while the block lasts: pods wanted by its autoscaler, pods that are ready."""

    EVERY_S = 5.0

    def __init__(self, bench: Bench, slot: str) -> None:
        super().__init__()
        self._bench, self._slot = bench, slot
        self.desired: list[int] = []
        self.ready: list[int] = []

    def __enter__(self) -> Self:
        self._count()
        return super().__enter__()

    def rises(self, above: int, deadline_s: float) -> bool:
        """Wait until more pods than so many were wanted at some time."""
        end = time.monotonic() + deadline_s
        while max(self.desired) <= above and time.monotonic() < end:
            time.sleep(0.5)
        return max(self.desired) > above

    def look(self) -> None:
        # An API server that is as busy as everything else: the next look will do.
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self._count()

    def _count(self) -> None:
        self.desired.append(desired(self._bench, self._slot))
        self.ready.append(ready(self._bench, self._slot))


def ready(bench: Bench, slot: str) -> int:
    """How many of the slot's pods are ready."""
    statuses = [pod["status"].get("conditions", []) for pod in bench.pods(slot)]
    return sum(any(one["type"] == "Ready" and one["status"] == "True" for one in found) for found in statuses)
