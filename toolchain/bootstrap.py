"""The Python environment `.venv`: made, filled from the lock files, and left alone when nothing has changed.

Standard library only. `uv` comes from a small hashed lock into the cache; it installs the big one.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ml.errors import SurroundingsError
from toolchain import environment, host, locks, paths, pins, run
from toolchain.display import Display, Task
from toolchain.tools import store

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
INPUTS = ("requirements.txt", "pyproject.toml", "toolchain/bootstrap-requirements.txt", "toolchain/environment.py")
VENV_PACKAGE = "python3.11-venv"
NETWORK_FIX = "check that the package index is reachable (`python3 -m pip download uv`), then the same command"


def ensure(display: Display) -> None:
    """Make `.venv` what the lock files say; well under a second when it is.

    Raises:
        SurroundingsError: No `venv` module, no package index, no space.
    """
    wanted = _stamp()
    if _is_current(wanted):
        return
    lock = paths.scratch() / "bootstrap.lock"
    with display.task("python environment", "checking") as task, locks.held(lock, lambda pid: _waiting(task, pid)):
        if _is_current(wanted):
            task.done("made by another process")
            return
        _make(task)
        task.now("getting uv")
        binary = uv(task)
        task.now("installing the locked packages (about 1 GB on disk)")
        _install(binary)
        _write_shell_lines()
        _stamp_file().write_text(json.dumps(wanted, indent=1))
        task.done("complete")


def certificates(env: dict[str, str]) -> dict[str, str]:
    """`env` with the system's certificates for uv, which does not look there by itself."""
    if CERTIFICATES.exists():
        env.setdefault("SSL_CERT_FILE", str(CERTIFICATES))
    return env


def _stamp() -> dict[str, str]:
    root = paths.repo_root()
    found = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in INPUTS}
    return found | {"python": sys.version.split()[0], "root": str(root)}


def _stamp_file() -> Path:
    return paths.venv() / "mlp-stamp.json"


def _is_current(wanted: dict[str, str]) -> bool:
    try:
        found = json.loads(_stamp_file().read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    # The interpreter that asks may be the environment's own or the system's: only the environment's counts.
    same = {key: value for key, value in found.items() if key != "python"}
    return (
        same == {key: value for key, value in wanted.items() if key != "python"}
        and (paths.venv_bin() / "python").exists()
    )


def _waiting(task: Task | None, holder: str) -> None:
    if task is not None:
        task.now(f"waiting for process {holder}, which is making it")


def _make(task: Task) -> None:
    """A venv with pip, on this interpreter's base, kept when it works."""
    if _works():
        return
    task.now("making .venv")
    shutil.rmtree(paths.venv(), ignore_errors=True)
    base = Path(sys.base_prefix) / "bin" / f"python{pins.load().python}"
    python = base if base.exists() else Path(sys.executable)
    if not _can_make(python) and os.geteuid() == 0 and shutil.which("apt-get"):
        task.now(f"installing {VENV_PACKAGE}, which Debian keeps apart from Python")
        host.install([VENV_PACKAGE])
    answer = subprocess.run([python, "-m", "venv", paths.venv()], capture_output=True, text=True, check=False)
    if answer.returncode == 0 and _works():
        return
    detail = (answer.stdout + answer.stderr).strip()
    if run.NO_SPACE in detail.lower():
        raise run.no_space(paths.venv(), detail)
    message = f"cannot make {paths.venv()} with {python}:\n{detail}"
    raise SurroundingsError("ML-HOST-002", message, f"apt-get install {VENV_PACKAGE}, then the same command")


def _can_make(python: Path) -> bool:
    answer = subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    return answer.returncode == 0


def _works() -> bool:
    python = paths.venv_bin() / "python"
    wanted = pins.load().python
    code = "import pip, sys; print('%d.%d' % sys.version_info[:2])"
    if not python.exists():
        return False
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return answer.stdout.strip() == wanted


def uv(task: Task | None = None) -> Path:
    """The binary in the cache, installed by pip from its hashed lock."""
    lock_file = paths.repo_root() / "toolchain" / "bootstrap-requirements.txt"
    key = hashlib.sha256(lock_file.read_bytes()).hexdigest()[:16]
    target = paths.cache() / "tools" / f"uv-{key}"
    binary = target / "bin" / "uv"
    with locks.held(paths.cache() / "locks" / "uv.lock", lambda pid: _waiting(task, pid)):
        if not binary.exists():
            with store.filling(target) as into:
                command = [str(paths.venv_bin() / "python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
                command += ["--no-deps", "--target", str(into), "-r", str(lock_file)]
                log = paths.cache() / "logs" / "uv.log"
                run.logged(command, log, code="ML-HOST-003", what="installing uv", fix=NETWORK_FIX)
    return binary


def _install(binary: Path) -> None:
    log = paths.cache() / "logs" / "packages.log"
    log.unlink(missing_ok=True)
    env = _uv_environment()
    python = ["--python", str(paths.venv_bin() / "python")]
    requirements = str(paths.repo_root() / "requirements.txt")
    what = "installing the locked packages"
    sync = [str(binary), "pip", "sync", "--require-hashes", *python, requirements]
    run.logged(sync, log, code="ML-HOST-003", what=what, env=env, fix=NETWORK_FIX)
    editable = [
        str(binary),
        "pip",
        "install",
        "--no-deps",
        "--no-build-isolation",
        *python,
        "-e",
        str(paths.repo_root()),
    ]
    run.logged(editable, log, code="ML-HOST-003", what="installing this project", env=env)


def _uv_environment() -> dict[str, str]:
    """The installer does not read pip's configuration; a machine with its own index has it there."""
    env = certificates(dict(os.environ))
    env.setdefault("UV_HTTP_TIMEOUT", "180")
    env.setdefault("UV_LINK_MODE", "copy" if _on_other_file_system() else "hardlink")
    command = [str(paths.venv_bin() / "python"), "-m", "pip", "config", "get", "global.index-url"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    index = os.environ.get("PIP_INDEX_URL") or answer.stdout.strip()
    if index and not (env.get("UV_DEFAULT_INDEX") or env.get("UV_INDEX_URL")):
        env["UV_DEFAULT_INDEX"] = index
    env.pop("VIRTUAL_ENV", None)
    return env


def _on_other_file_system() -> bool:
    uv_cache = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
    while not uv_cache.exists():
        uv_cache = uv_cache.parent
    return uv_cache.stat().st_dev != paths.venv().stat().st_dev


def _write_shell_lines() -> None:
    """The same environment in a shell: one line in `activate` sources `mlp-env.sh`."""
    script = paths.venv() / "mlp-env.sh"
    script.write_text(environment.shell_script())
    activate = paths.venv_bin() / "activate"
    line = f'. "{script}"\n'
    text = activate.read_text()
    if line not in text:
        activate.write_text(text.rstrip("\n") + "\n" + line)
