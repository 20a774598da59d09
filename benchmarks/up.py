"""`python -m benchmarks.up`: how long `make up` takes on a clean clone, and what nothing-changed costs afterwards.

Everything happens in a home of its own, which is removed at the end. With `--cold` the tools are built as well: about
half an hour on two cores. The local cluster can run once on a machine, so no other may be up.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from toolchain.paths import repo_root, scratch

# Short, because Unix socket paths must stay under 108 characters.
PREFIX = "mlp-bench-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One timed command and the design's bar for it, in seconds."""

    name: str
    command: Sequence[str]
    bar_s: float


STEPS = (
    Step(name="make up, empty home", command=["make", "up"], bar_s=8 * 60),
    Step(name="make up, again", command=["make", "up"], bar_s=60),
    Step(
        name="pulumi preview, no change",
        command=["bash", "-c", ". .venv/bin/activate && exec pulumi preview --stack staging --expect-no-changes"],
        bar_s=6,
    ),
)
COLD_BAR_S = 35 * 60
# Every cache that a machine which never saw the project would not have: our tools, Go's and Python's.
COLD_CACHES = {
    "MLP_CACHE": "cache",
    "GOCACHE": "go-build",
    "GOMODCACHE": "go-mod",
    "UV_CACHE_DIR": "uv",
    "PIP_CACHE_DIR": "pip",
    "XDG_CACHE_HOME": "xdg",
}


def main() -> None:
    """Time the steps, print them beside their bars and write `.build/bench/up.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.up", description=__doc__)
    parser.add_argument("--cold", action="store_true", help="build the tools too, with an empty cache")
    cold = parser.parse_args().cold
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    environment = {**os.environ, "MLP_HOME": str(folder / "home")}
    if cold:
        environment |= {name: str(folder / place) for name, place in COLD_CACHES.items()}
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", str(repo_root()), str(clone)], check=True)
    try:
        seconds = {step.name: _time(step, clone, environment, folder / "log") for step in STEPS}
    finally:
        delete = [str(clone / ".venv/bin/mlp"), "cluster", "delete", "--yes"]
        subprocess.run(delete, cwd=clone, env=environment, check=False, stdout=subprocess.DEVNULL)
        _remove(folder)
    _report(seconds, cold=cold)


def _time(step: Step, clone: Path, environment: Mapping[str, str], log: Path) -> float:
    print(f"{step.name} ...", flush=True)
    started = time.monotonic()
    with log.open("a") as output:
        done = subprocess.run(
            step.command, cwd=clone, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        raise SystemExit(f"{step.name} failed with {done.returncode}:\n{log.read_text()[-4000:]}")
    return time.monotonic() - started


def _remove(folder: Path) -> None:
    # Go writes its module cache read-only.
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _report(seconds: Mapping[str, float], *, cold: bool) -> None:
    table = Table("step", "seconds", "bar")
    for index, step in enumerate(STEPS):
        bar = COLD_BAR_S if cold and index == 0 else step.bar_s
        table.add_row(step.name, f"{seconds[step.name]:.1f}", f"{bar:g}")
    Console().print(table)
    out = scratch() / "bench" / "up.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"cold": cold, "seconds": seconds}, indent=2) + "\n")
    print(out)


if __name__ == "__main__":
    main()
