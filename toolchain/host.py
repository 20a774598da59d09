"""What the machine must bring for the local cluster: root, Debian's packages, space. Standard library only."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ml.errors import SurroundingsError
from toolchain import paths, pins, run
from toolchain.display import Display

POLICY = Path("/usr/sbin/policy-rc.d")
COLD_GIB = 15
WARM_GIB = 4
GIB = 1 << 30


def require_root() -> None:
    """The local cluster mounts, makes namespaces and writes iptables rules.

    Raises:
        SurroundingsError: `ML-HOST-005` when this is no root.
    """
    if os.geteuid() != 0:
        message = f"the local cluster needs root, and this is user id {os.geteuid()}"
        raise SurroundingsError("ML-HOST-005", message, "sudo make up, or name a cluster: export MLP_KUBECONFIG=<file>")


def require_file(kubeconfig: Path) -> None:
    """The kubeconfig that the user named is there.

    Raises:
        SurroundingsError: `ML-HOST-007` when it is not.
    """
    if not kubeconfig.is_file():
        message = f"MLP_KUBECONFIG names {str(kubeconfig)!r}, which is no file"
        raise SurroundingsError(
            "ML-HOST-007", message, "name a kubeconfig, or unset MLP_KUBECONFIG for a local cluster"
        )


def missing_packages() -> list[str]:
    """Debian packages of `pins.toml` that are not installed; all of them when this is no Debian."""
    names = list(pins.load().host_packages)
    if shutil.which("dpkg-query") is None:
        return names
    command = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    installed = {line.split()[0] for line in answer.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


def ensure_packages(display: Display) -> None:
    """Install what is missing, without starting any of its services.

    Raises:
        SurroundingsError: This is no Debian, or a package cannot be installed.
    """
    missing = missing_packages()
    if not missing:
        return
    require_root()
    if shutil.which("apt-get") is None:
        message = f"the local cluster needs Debian's packages {', '.join(missing)}, and there is no apt-get"
        raise SurroundingsError(
            "ML-HOST-006", message, "use Debian 12, or name a cluster: export MLP_KUBECONFIG=<file>"
        )
    with display.task("host packages", f"installing {', '.join(missing)}") as task:
        install(missing)
        task.done(f"{len(missing)} installed")


def install(names: list[str]) -> None:
    """Install Debian packages, without starting any of their services; the caller is root.

    Raises:
        SurroundingsError: `ML-HOST-006` with apt's last lines.
    """
    log = paths.cache() / "logs" / "apt.log"
    log.unlink(missing_ok=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    what = f"installing Debian's {', '.join(names)}"
    with _services_stay_off():
        run.logged(["apt-get", "update", "-q"], log, code="ML-HOST-006", what="apt-get update", env=env)
        command = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *names]
        run.logged(command, log, code="ML-HOST-006", what=what, env=env)


def require_space(*, cold: bool) -> None:
    """Look before an hour of work ends on a full disk.

    Raises:
        SurroundingsError: `ML-HOST-004` with the place and the numbers.
    """
    need = COLD_GIB if cold else WARM_GIB
    for place in (paths.cache(), paths.home(), paths.repo_root()):
        existing = place
        while not existing.exists():
            existing = existing.parent
        free = shutil.disk_usage(existing).free
        if free < need * GIB:
            kind = "a cold build" if cold else "the images and the cluster"
            raise run.no_space(place, f"    {kind} needs {need} GiB, {free / GIB:.1f} GiB are free")


@contextlib.contextmanager
def _services_stay_off() -> Iterator[None]:
    """Debian starts a package's services; ours run under the cluster's own supervision, on the same ports."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
