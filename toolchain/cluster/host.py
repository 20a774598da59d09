"""What the machine must offer before anything is started; each refusal names the command that helps."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from ml.errors import SurroundingsError
from toolchain.cluster import ports
from toolchain.cluster.component import Component
from toolchain.cluster.components import HOST_PROGRAMS, wanted_ports
from toolchain.cluster.config import CNI_PLUGINS

MIN_FREE_BYTES: Final = 5 * 1024**3
BRIDGE_FILTER: Final = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
# Program -> the Debian package that brings it.
PACKAGES: Final[Mapping[str, str]] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "mount": "mount",
}
SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RESOLV_CONF: Final = Path("/etc/resolv.conf")
SYSTEMD_RESOLV_CONF: Final = Path("/run/systemd/resolve/resolv.conf")


def programs() -> dict[str, Path]:
    """The host's own programs by name, those that are missing left out."""
    found = ((name, shutil.which(name, path=SYSTEM_PATH)) for name in HOST_PROGRAMS)
    return {name: Path(path) for name, path in found if path}


def check(root: Path) -> None:
    """Refuse a machine that cannot run the cluster.

    Raises:
        SurroundingsError: the first of not root, missing programs, missing kernel features, no space.
    """
    _check_root()
    _check_programs()
    _check_kernel()
    _check_space(root)


def _check_root() -> None:
    if os.geteuid() != 0:
        raise SurroundingsError(
            "ML-CLUSTER-001",
            f"the local cluster needs root: it makes a bridge, mounts and containers (this is uid {os.geteuid()})",
            fix="run it as root, or name an existing cluster: export MLP_KUBECONFIG=<path of a kubeconfig>",
        )


def _check_programs() -> None:
    missing = {package for name, package in PACKAGES.items() if shutil.which(name, path=SYSTEM_PATH) is None}
    missing |= {"containernetworking-plugins"} if not (CNI_PLUGINS / "bridge").exists() else set()
    if missing:
        raise SurroundingsError(
            "ML-CLUSTER-002",
            f"Debian packages missing: {', '.join(sorted(missing))}",
            fix=f"apt-get update && apt-get install -y --no-install-recommends {' '.join(sorted(missing))}",
        )


def _check_kernel() -> None:
    problems = []
    if not _supports("overlay"):
        problems.append("overlayfs (module overlay)")
    if not BRIDGE_FILTER.exists():
        _modprobe("br_netfilter")
    if not BRIDGE_FILTER.exists():
        problems.append("iptables on bridges (module br_netfilter)")
    if problems:
        raise SurroundingsError(
            "ML-CLUSTER-003",
            f"the kernel {os.uname().release} lacks: {'; '.join(problems)}",
            fix="modprobe overlay br_netfilter, or run on a machine (not in a container) whose kernel has them",
        )
    BRIDGE_FILTER.write_text("1")


def _supports(filesystem: str) -> bool:
    def listed() -> bool:
        return any(line.split()[-1] == filesystem for line in Path("/proc/filesystems").read_text().splitlines())

    if not listed():
        _modprobe(filesystem)
    return listed()


def _modprobe(module: str) -> None:
    program = shutil.which("modprobe", path=SYSTEM_PATH)
    if program:
        subprocess.run([program, module], check=False, capture_output=True, timeout=30)


def _check_space(root: Path) -> None:
    existing = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < MIN_FREE_BYTES:
        raise SurroundingsError(
            "ML-CLUSTER-004",
            f"{free / 1024**3:.1f} GiB free on the file system of {str(existing)!r}, "
            f"at least {MIN_FREE_BYTES / 1024**3:.0f} GiB are needed",
            fix="free some space (mlp cluster delete removes the cluster and its images), or move it: MLP_HOME=<dir>",
        )


def check_ports(components: Iterable[Component]) -> None:
    """Refuse when somebody else listens where a component that is about to start must listen.

    Raises:
        SurroundingsError: at least one port is taken; all of them are named.
    """
    taken = ports.conflicts(wanted_ports(components), ports.listeners())
    if not taken:
        return
    lines = [
        f"{address}:{port} (needed by {component}) is held by {ports.owner(inode)}"
        for component, address, port, inode in taken
    ]
    raise SurroundingsError(
        "ML-CLUSTER-005",
        "port taken: " + "; ".join(lines[:10]),
        fix="stop that process, then mlp cluster up; `mlp cluster status` lists what is ours",
    )


def resolv_conf() -> Path:
    """The resolver configuration for pods: never systemd-resolved's stub, which only answers on the node's loopback."""
    return SYSTEMD_RESOLV_CONF if SYSTEMD_RESOLV_CONF.exists() else RESOLV_CONF
