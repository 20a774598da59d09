"""Faults that a walk puts into the running cluster, from outside of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING, eventually
from toolchain.cluster import api
from toolchain.cluster.layout import Layout

CGROUPS = Path("/sys/fs/cgroup")
PERIOD_US = 1_000_000  # the longest that the kernel takes: a share of it is waited for that long
LEAST_US = 1_000


def selected(machine: Machine) -> str:
    """The slot that the live Service selects."""
    return str(_get(machine, "services/model")["spec"]["selector"]["ml-pipeline/slot"])


def pods_in(machine: Machine, slot: str) -> list[dict[str, Any]]:
    """The slot's pods, also those that have to go."""
    found: list[dict[str, Any]] = _get(machine, f"pods?labelSelector=ml-pipeline/slot%3D{slot}")["items"]
    return found


def staying(machine: Machine, slot: str) -> list[dict[str, Any]]:
    """The slot's pods that nobody has asked to go."""
    return [pod for pod in pods_in(machine, slot) if "deletionTimestamp" not in pod["metadata"]]


def _get(machine: Machine, path: str) -> Any:
    """Ask the API without a kubectl: rows look five times a second, and a kubectl is a fifth of a second's work."""
    client = api.Client(api.Credentials.of(Layout(root=machine.home / "cluster"), "admin"))
    try:
        return client.get(f"/api/v1/namespaces/{STAGING}/{path}")
    finally:
        client.close()


@contextmanager
def starved_once_live(machine: Machine, slot: str, share: float) -> Iterator[list[int]]:
    """From the moment on when the slot has the traffic, its containers get only a share of one processor.

    Yields a list that then holds the number of containers: a control that the fault was really there.
    """
    done: list[int] = []

    def wait_and_starve() -> None:
        eventually(lambda: selected(machine) == slot, 300)
        done.append(
            sum(
                _limit(container, max(round(share * PERIOD_US), LEAST_US))
                for container in _containers_of(pods_in(machine, slot))
            )
        )

    thread = threading.Thread(target=wait_and_starve, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        thread.join(timeout=10)
        for container in _containers_of(pods_in(machine, slot)):
            _limit(container, PERIOD_US)


def processes(machine: Machine, slot: str) -> list[int]:
    """The processes in all of a slot's containers, as the node numbers them."""
    containers = _containers_of(pods_in(machine, slot))
    return sorted({process for container in containers for process in _processes_in(container)})


def processes_of_one(machine: Machine, slot: str) -> list[int]:
    """The processes in one container of the slot: of a pod that nobody has asked to go, and that runs.

    A pod that was asked to go stands first in the list at times, and its container may have ended already.
    """
    containers = _containers_of(staying(machine, slot))
    return next((found for container in containers if (found := _processes_in(container))), [])


def _processes_in(container: str) -> list[int]:
    found: set[int] = set()
    for group in CGROUPS.rglob(f"*{container}*/cgroup.procs"):
        with suppress(OSError):  # the container ended between the two reads
            found.update(int(line) for line in group.read_text().split())
    return sorted(found)


def _containers_of(pods: list[dict[str, Any]]) -> list[str]:
    statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", [])]
    return [status["containerID"].rpartition("/")[2] for status in statuses if status.get("containerID")]


def _limit(container: str, quota_us: int) -> int:
    """Set the quota of a container's control group, of either version; how many were found."""
    found = 0
    for group in CGROUPS.rglob(f"*{container}*"):
        if (group / "cpu.max").is_file():
            (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
            found += 1
        elif (group / "cpu.cfs_quota_us").is_file():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
            found += 1
    return found


def process_of(pod: dict[str, Any], module: str) -> int | None:
    """The process on this machine that runs a module of ours in the pod; its control group has the pod's uid."""
    uid = pod["metadata"]["uid"]
    uids = (uid.encode(), uid.replace("-", "_").encode())
    return next((int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _runs(p, module, uids)), None)


def _runs(process: Path, module: str, uids: tuple[bytes, ...]) -> bool:
    try:
        group, command = (process / "cgroup").read_bytes(), (process / "cmdline").read_bytes()
    except OSError:
        return False
    # Whole arguments: the module `ml.batch` is in the name of others as well.
    return module.encode() in command.split(b"\0") and any(uid in group for uid in uids)
