"""Builds a tool from its Go module. One build at a time: Go uses every core by itself.

Interrupted builds go on where they stopped, because Go keeps each compiled package in its own cache.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ml.errors import SurroundingsError
from toolchain import locks, paths, run
from toolchain.display import Task
from toolchain.pins import GoBuild, Tool
from toolchain.tools import store

MIB = 1 << 20


def available() -> bool:
    """Whether Go is on PATH."""
    return shutil.which("go") is not None


def build(tool: Tool, into: Path, task: Task, modules: Path = store.MODULES) -> None:
    """Build `tool` into the folder `into`; the log is kept in the cache.

    Raises:
        SurroundingsError: Too little space, or the build failed (with the log's last lines).
    """
    if tool.go is None:
        raise SurroundingsError("ML-TOOL-003", f"{tool.name} has no Go module in pins.toml")
    task.now("waiting for the Go compiler")
    lock = paths.cache() / "locks" / "go-build.lock"
    with locks.held(lock, lambda pid: task.now(f"waiting for a Go build of process {pid}")) as held:
        _check_space(tool, tool.go)
        task.now(f"building {tool.version} with Go, about {tool.build_minutes:g} min when cold")
        with tempfile.TemporaryDirectory(prefix="mlp-build-") as work:
            for file in store.module_files(modules / tool.go.module):
                shutil.copy(file, work)
            _compile(tool, tool.go, Path(work), into / tool.binaries[0], held)


def _compile(tool: Tool, go: GoBuild, work: Path, target: Path, lock: int) -> None:
    log = paths.cache() / "logs" / f"{tool.name}.log"
    log.unlink(missing_ok=True)
    command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", go.ldflags]
    if go.tags:
        command += ["-tags", go.tags]
    env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}
    what = f"building {tool.name} {tool.version} from its Go module"
    fix = "run the same command again; it goes on where it stopped"
    if go.copy_from:
        _copy_module_files(go, work, log, env, what)
    run.logged(
        [*command, "-o", str(target), go.package],
        log,
        code="ML-TOOL-001",
        what=what,
        cwd=work,
        env=env,
        keep_open=(lock,),
        fix=fix,
    )


def _copy_module_files(go: GoBuild, work: Path, log: Path, env: dict[str, str], what: str) -> None:
    answer = subprocess.run(
        ["go", "mod", "download", "-json", go.copy_from], cwd=work, env=env, capture_output=True, text=True, check=False
    )
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(answer.stdout + answer.stderr)
    directory = json.loads(answer.stdout or "{}").get("Dir")
    if answer.returncode or not directory:
        raise SurroundingsError("ML-TOOL-001", f"{what} failed; the last lines of {log}:\n{run.tail(log)}")
    for name in go.copy_files:
        target = work / Path(name).name
        shutil.copyfile(Path(directory) / name, target)  # not its mode: the module cache is read-only


def _check_space(tool: Tool, go: GoBuild) -> None:
    """A cold build fails late and badly on a full disk, so look first; a warm one needs little."""
    places = subprocess.run(["go", "env", "GOMODCACHE", "GOCACHE"], capture_output=True, text=True, check=False).stdout
    modules, compiled = map(Path, places.split("\n")[:2])
    heart = go.copy_from or go.package
    host = "/".join(heart.split("/")[:3])
    cold = heart == "." or not any((modules / "cache" / "download" / host).glob("*"))
    need_mib = tool.build_space_mib if cold and not (compiled / "README").exists() else 500
    for place in (modules, compiled, paths.cache()):
        free_mib = shutil.disk_usage(_existing(place)).free // MIB
        if free_mib < need_mib:
            detail = f"    building {tool.name} needs {need_mib} MiB, {free_mib} MiB are free"
            raise run.no_space(place, detail)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
