"""What outlives the components: containers and their shims, mounts, control groups, files outside the root.

Everything is recognised as ours by a path below the cluster's root or by the socket it was started for.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from toolchain.cluster import processes
from toolchain.cluster.layout import Layout

TERMINATION_S: Final = 15.0
CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
CGROUPS: Final = ("kubepods", "docker")
NAMESPACES: Final = ("k8s.io", "moby")
CONTAINER_LOGS: Final = Path("/var/log/containers")
CNI_RESULTS: Final = Path("/var/lib/cni")
# Made at fixed places by the programs; removed only when empty, children first.
MADE_OUTSIDE: Final = tuple(
    Path(name)
    for name in (
        "/var/lib/cni/results", "/var/lib/cni/cache", "/var/lib/cni",
        "/var/lib/kubelet/device-plugins", "/var/lib/kubelet",
        "/run/containerd/s", "/run/containerd", "/run/docker/plugins", "/run/docker",
    )
)  # fmt: skip


def stop_containers(layout: Layout, binaries: Mapping[str, Path]) -> None:
    """End every container: politely while containerd can say which they are, then with their shims."""
    tasks = [pid for namespace in NAMESPACES for pid in _tasks(layout, binaries, namespace)]
    polite = [record for record in map(processes.snapshot, tasks) if record]
    for record in polite:
        _signal(record, signal.SIGTERM)
    processes.wait_until_gone(polite, TERMINATION_S)
    for record in polite:
        _signal(record, signal.SIGKILL)
    kill_leftovers(layout)


def kill_leftovers(layout: Layout) -> None:
    """Kill shims of this cluster's containerd and every process still inside its containers' control groups."""
    deadline = time.monotonic() + TERMINATION_S
    while time.monotonic() < deadline:
        pids = {*shims(layout, processes.command_lines()), *contained(layout)}
        records = [record for record in map(processes.snapshot, pids) if record]
        if not records:
            return
        for record in records:
            _signal(record, signal.SIGKILL)
        processes.wait_until_gone(records, 2.0)


def forget_dead_containers(layout: Layout) -> None:
    """Before containerd starts: drop its volatile state when no shim lives, as a boot would have done.

    A containerd that died alone finds its shims, and the pods run on; that state is kept.
    """
    if any(shims(layout, processes.command_lines())):
        return
    kill_leftovers(layout)
    state = layout.root / "containerd-state"
    unmount(state)
    if state.exists():
        shutil.rmtree(state)


def shims(layout: Layout, command_lines: Iterable[tuple[int, list[str]]]) -> Iterator[int]:
    """Pids of the containerd shims that were started for this cluster's socket."""
    for pid, arguments in command_lines:
        if Path(arguments[0]).name.startswith("containerd-shim") and str(layout.containerd_socket) in arguments:
            yield pid


def contained(layout: Layout) -> Iterator[int]:
    """Pids below the control groups of pods and builds, if their root file system is one of ours."""
    for group in _cgroups():
        with contextlib.suppress(OSError):
            for pid in map(int, (group / "cgroup.procs").read_text().split()):
                with contextlib.suppress(OSError):
                    if str(layout.root) in Path(f"/proc/{pid}/mountinfo").read_text():
                        yield pid


def mounts_below(root: Path, mountinfo: str) -> list[Path]:
    """Mount points at or below a directory, deepest first (proc(5): field 5, with octal escapes)."""
    points = [Path(_unescape(line.split()[4])) for line in mountinfo.splitlines() if line]
    return sorted((point for point in points if point.is_relative_to(root)), key=lambda p: len(p.parts), reverse=True)


def unmount(root: Path) -> None:
    """Unmount everything below a directory; what is busy is detached and goes when its last user does."""
    for point in mounts_below(root, Path("/proc/self/mountinfo").read_text()):
        if subprocess.run(["umount", str(point)], check=False, capture_output=True, timeout=30).returncode != 0:
            subprocess.run(["umount", "--lazy", str(point)], check=False, capture_output=True, timeout=30)


def remove_outside(layout: Layout) -> None:
    """Remove what the kubelet, containerd and the CNI plugins leave outside the root, after everything has stopped."""
    for group in _cgroups():
        with contextlib.suppress(OSError):
            group.rmdir()
    if CONTAINER_LOGS.is_dir():
        for link in CONTAINER_LOGS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(layout.root):
                link.unlink()
        _remove_if_empty(CONTAINER_LOGS)
    for entry in CNI_RESULTS.glob("results/ml-pipeline-*"):
        entry.unlink()
    for directory in MADE_OUTSIDE:
        _remove_if_empty(directory)


def remove_root(layout: Layout) -> None:
    """Remove the cluster's directory, its marker last so that a cut-off removal can be repeated."""
    for entry in sorted(layout.root.iterdir()):
        if entry == layout.marker:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    layout.marker.unlink()
    layout.root.rmdir()


def _tasks(layout: Layout, binaries: Mapping[str, Path], namespace: str) -> list[int]:
    """Init pids of a containerd namespace's tasks; none when containerd does not answer."""
    argv = [str(binaries["ctr"]), "--address", str(layout.containerd_socket), "--connect-timeout", "2s"]
    try:
        listed = subprocess.run(
            [*argv, "--namespace", namespace, "tasks", "ls"], capture_output=True, text=True, check=False, timeout=10
        ).stdout
    except (subprocess.TimeoutExpired, KeyError):
        return []
    return parse_tasks(listed)


def parse_tasks(listed: str) -> list[int]:
    """Pids in the table `TASK PID STATUS` of `ctr tasks ls`."""
    rows = (line.split() for line in listed.splitlines()[1:])
    return [int(row[1]) for row in rows if len(row) == 3 and row[2] != "STOPPED" and row[1] != "0"]


def _cgroups() -> list[Path]:
    """Our pods' and builds' control groups in every hierarchy, deepest first."""
    tops = [top for name in CGROUPS for top in (CGROUP_ROOT / name, *CGROUP_ROOT.glob(f"*/{name}")) if top.is_dir()]
    found = [Path(directory) for top in tops for directory, _, _ in os.walk(top)]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def _signal(record: processes.Record, number: signal.Signals) -> None:
    if processes.alive(record):
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)


def _remove_if_empty(directory: Path) -> None:
    with contextlib.suppress(OSError):
        directory.rmdir()


def _unescape(text: str) -> str:
    return text.encode().decode("unicode_escape").encode("latin-1").decode() if "\\" in text else text
