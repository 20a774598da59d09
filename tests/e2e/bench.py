"""The stack under test, and what rows do to it: move its traffic, end its pods, stop parts of its cluster."""

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e.clients import Clients, Load
from tests.e2e.drills import UP
from tests.e2e.faults import processes_of_one, selected, staying
from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING, eventually
from tests.e2e.two_releases import PORT, api_key, golden_rows, two_releases
from tests.e2e.updates import configured, turn

FULL: Final = Load()
GENTLE: Final = Load(kept=3, fresh=1, pause_s=0.05, piped_hz=1, limit=100_000)
"""Clients that leave two processors enough for what else the row does."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A stack whose two slots are warm."""

    machine: Machine
    key: str
    rows: Sequence[Sequence[Any]]

    def clients(self, load: Load = GENTLE) -> Clients:
        """Three kinds of clients of the live Service."""
        return Clients(PORT, self.key, self.rows, load)

    def live(self) -> str:
        """The slot that has the traffic."""
        return selected(self.machine)

    def turn(self) -> str:
        """Move the traffic as an update does, by one change of a selector; the slot that has it now."""
        slot = "green" if self.live() == "blue" else "blue"
        patch = json.dumps({"spec": {"selector": {"ml-pipeline/slot": slot}}})
        self.machine.run("kubectl", "patch", "service", "model", "-n", STAGING, "-p", patch)
        return slot

    def pods(self, slot: str) -> list[dict[str, Any]]:
        """The slot's pods that nobody has asked to go."""
        return staying(self.machine, slot)

    def delete_a_pod(self, slot: str) -> str:
        """Ask one of the slot's pods to go, as a node that is drained does; its name."""
        name = str(self.pods(slot)[0]["metadata"]["name"])
        self.machine.run("kubectl", "delete", "pod", name, "-n", STAGING, "--wait=false")
        return name

    def kill_a_container(self, slot: str) -> int:
        """SIGKILL to every process of one of the slot's containers; how many there were."""
        doomed = processes_of_one(self.machine, slot)
        for process in doomed:
            os.kill(process, signal.SIGKILL)
        return len(doomed)

    def whole(self, slot: str) -> None:
        """Wait until all of the slot's pods are ready again."""
        wait = ("rollout", "status", f"deployment/model-{slot}", "-n", STAGING, "--timeout=120s")
        self.machine.run("kubectl", *wait, timeout_s=150)

    def restarts(self, slot: str) -> int:
        """How often containers of the slot's present pods were started again."""
        statuses = [one for pod in self.pods(slot) for one in pod["status"].get("containerStatuses", [])]
        return sum(int(status["restartCount"]) for status in statuses)

    def settle(self, slot: str | None = None) -> None:
        """Cluster and configuration say the same again; on request with that slot live."""
        if self.live() != configured(self.machine):
            self.turn()
        if slot not in (None, configured(self.machine)):
            turn(self.machine)
            self.machine.run(*UP, timeout_s=300)

    @contextmanager
    def other_settings(self) -> Iterator[Path]:
        """The stack's file may be edited in the block, and is as before afterwards."""
        file = self.machine.clone / "Pulumi.staging.yaml"
        before = file.read_bytes()
        try:
            yield file
        finally:
            file.write_bytes(before)

    def up(self) -> None:
        """The one command that a person types after anything."""
        self.machine.run("make", "up", timeout_s=400)


def prepare(machine: Machine) -> Bench:
    """Bring up the stack with two releases; what an earlier drill said against the second one is forgiven."""
    two_releases(machine)
    return Bench(machine=machine, key=api_key(machine), rows=golden_rows(machine))


def component(machine: Machine, name: str) -> int:
    """The process of a part of the local cluster."""
    return int(json.loads((machine.home / "cluster" / "run" / f"{name}.json").read_bytes())["pid"])


@contextmanager
def without(machine: Machine, name: str, seconds: float = 0) -> Iterator[int]:
    """A part of the cluster is killed; started again after the block, not before `seconds`. Yields its pid."""
    pid, started = component(machine, name), time.monotonic()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), 10)  # noqa: PTH110
    try:
        yield pid
    finally:
        time.sleep(max(0.0, seconds - (time.monotonic() - started)))
        machine.run("mlp", "cluster", "up", timeout_s=180)
