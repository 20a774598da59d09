"""A container's control group, of either version: what it uses, how it is throttled, and a leak inside of it."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from tests.e2e.faults import CGROUPS
from tests.e2e.machine import ROOT
from tests.e2e.matrix import leak
from tests.e2e.matrix.watching import Watching

USED: Final = ("memory.current", "memory.usage_in_bytes")
LIMIT: Final = ("memory.max", "memory.limit_in_bytes")
QUOTA: Final = ("cpu.max", "cpu.cfs_quota_us")


@dataclass(frozen=True, kw_only=True)
class Group:
    """Of one container."""

    pod: str
    container: str

    def file(self, names: tuple[str, ...]) -> Path:
        """The first of these files that the kernel has for it; the versions name the same thing differently."""
        folders = list(CGROUPS.rglob(f"*{self.container}*"))
        found = [folder / name for name in names for folder in folders if (folder / name).is_file()]
        assert found, f"container {self.container[:12]} of pod {self.pod}: none of {names} in {folders}"
        return found[0]

    def number(self, names: tuple[str, ...]) -> int:
        """What such a file holds."""
        return int(self.file(names).read_text())

    def processes(self) -> list[int]:
        """Its processes, as the node numbers them."""
        return [int(line) for line in self.file(USED).with_name("cgroup.procs").read_text().split()]

    def throttled(self) -> int:
        """In how many periods it had to wait for a processor."""
        lines = dict(line.split() for line in self.file(QUOTA).with_name("cpu.stat").read_text().splitlines())
        return int(lines["nr_throttled"])


def groups(pods: Sequence[dict[str, Any]]) -> list[Group]:
    """Of every container that runs in these pods."""
    return [
        Group(pod=pod["metadata"]["name"], container=status["containerID"].rpartition("/")[2])
        for pod in pods
        for status in pod["status"].get("containerStatuses", [])
        if "running" in status["state"]
    ]


@contextmanager
def throttling(group: Group, share: float) -> Iterator[None]:
    """It gets this share of one processor while the block lasts; its period stays."""
    file = group.file(QUOTA)
    before = file.read_text()
    period = before.split()[1] if file.name == "cpu.max" else file.with_name("cpu.cfs_period_us").read_text()
    quota = round(share * int(period))
    file.write_text(f"{quota} {period}" if file.name == "cpu.max" else str(quota))
    try:
        yield
    finally:
        if file.exists():  # a container that was started again has another group
            file.write_text(before)


def fill(group: Group) -> str:
    """Allocate in the group until the kernel kills its largest process; how that went.

    What leaks is a process of ours that joins the group: it says whether the other one died, and is gone then.
    """
    victim = max(group.processes(), key=lambda process: psutil.Process(process).memory_info().rss)
    most = group.number(LIMIT)
    place = group.file(USED).with_name("cgroup.procs")
    command = [sys.executable, "-m", leak.__name__, str(place), str(most), str(victim)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=leak.MOST_S + 30)
    return f"exit {done.returncode}: {done.stdout.strip()}{done.stderr.strip()[-500:]}"


class Growth(Watching):
    """How much more memory each of some containers has used at most while the block lasted, by their pods' names."""

    EVERY_S = 0.05

    def __init__(self, watched: Sequence[Group]) -> None:
        super().__init__()
        self._files = {group.pod: group.file(USED) for group in watched}
        assert self._files, "no container runs whose memory could be watched"
        self._first = {pod: int(file.read_text()) for pod, file in self._files.items()}
        self._most = dict(self._first)

    @property
    def mib(self) -> dict[str, float]:
        """By pod."""
        return {pod: round((most - self._first[pod]) / 2**20, 1) for pod, most in self._most.items()}

    def look(self) -> None:
        for pod, file in self._files.items():
            with suppress(OSError):  # a container that died; its restart is counted elsewhere
                self._most[pod] = max(self._most[pod], int(file.read_text()))
