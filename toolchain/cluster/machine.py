"""Only one cluster runs on a machine: the lock and the marker that say whose."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from ml.errors import SurroundingsError
from toolchain import locks
from toolchain.cluster import processes
from toolchain.cluster.layout import MARKER, Layout
from toolchain.files import write_private

MACHINE_MARKER: Final = Path("/run/ml-pipeline-cluster.json")
MACHINE_LOCK: Final = Path("/run/ml-pipeline-cluster.lock")


def lock(on_wait: Callable[[str], None]) -> AbstractContextManager[int]:
    """Held while a cluster is started, stopped or deleted; the kernel gives a killed holder's lock back."""
    return locks.held(MACHINE_LOCK, on_wait)


def claimed_home() -> Path | None:
    """The MLP_HOME whose cluster was started last on this machine and not stopped, alive or killed; or None."""
    try:
        return Path(json.loads(MACHINE_MARKER.read_bytes())["home"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def running_home() -> Path | None:
    """The MLP_HOME whose cluster has live processes on this machine, or None."""
    home = claimed_home()
    return home if home is not None and any_alive(Layout(root=home / "cluster")) else None


def any_alive(layout: Layout) -> bool:
    """Whether a recorded process of this cluster runs."""
    records = (processes.read_record(path) for path in layout.run.glob("*.json"))
    return any(record is not None and processes.alive(record) for record in records)


def claim(home: Path) -> None:
    """Say that this home's cluster is the machine's.

    Raises:
        SurroundingsError: another home's cluster runs.
    """
    other = running_home()
    if other is not None and other != home:
        raise SurroundingsError(
            "ML-CLUSTER-007",
            f"another cluster runs on this machine: MLP_HOME={other}",
            fix=f"MLP_HOME={other} mlp cluster down",
        )
    write_private(MACHINE_MARKER, json.dumps({"home": str(home)}).encode())


def release(home: Path) -> None:
    """Take the claim back, if it is this home's."""
    if claimed_home() == home:
        MACHINE_MARKER.unlink(missing_ok=True)


def adopt(layout: Layout, *, forwarding: bool) -> None:
    """Make the root directory and mark it as ours; remembers what the machine was like before.

    Raises:
        SurroundingsError: the directory has content that this program did not put there.
    """
    if layout.marker.exists():
        return
    if layout.root.exists() and any(layout.root.iterdir()):
        raise SurroundingsError(
            "ML-CLUSTER-008",
            f"{str(layout.root)!r} is not empty and was not made by mlp (no {MARKER})",
            fix="move it away, or choose another home: export MLP_HOME=<dir>",
        )
    layout.root.mkdir(mode=0o711, parents=True, exist_ok=True)
    write_private(layout.marker, json.dumps({"ip_forward": forwarding}).encode())


def forwarding_before(layout: Layout) -> bool:
    """Whether the machine forwarded packets before the first `up`; True when unknown, which changes nothing."""
    try:
        return bool(json.loads(layout.marker.read_bytes()).get("ip_forward", True))
    except (OSError, ValueError, AttributeError):
        return True
