"""Takes single programs out of a Debian package, without installing it and without starting its services."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from toolchain.pins import Tool
from toolchain.tools.download import UnavailableError

FETCH_S = 180.0


def install(tool: Tool, into: Path) -> None:
    """Fill `into` from the tool's Debian package.

    Raises:
        UnavailableError: This is not Debian, or the package cannot be fetched.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise UnavailableError("not a Debian machine")
    # World-readable, because apt downloads as its own user.
    with tempfile.TemporaryDirectory(prefix="mlp-debian-") as work:
        Path(work).chmod(0o755)
        _run(["apt-get", "download", "-q", tool.debian_package], work)
        packages = list(Path(work).glob("*.deb"))
        if not packages:
            raise UnavailableError(f"apt-get brought no package {tool.debian_package}")
        _run(["dpkg-deb", "-x", str(packages[0]), f"{work}/tree"], work)
        for name, member in tool.debian_members.items():
            source = Path(work) / "tree" / member
            if not source.exists():
                raise UnavailableError(f"{packages[0].name} has no {member}")
            shutil.copy(source, into / name)


def _run(command: list[str], cwd: str) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=FETCH_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command[0]} took longer than {FETCH_S:.0f} s") from error
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise UnavailableError(f"{' '.join(command)}: {words[-1] if words else done.returncode}")
