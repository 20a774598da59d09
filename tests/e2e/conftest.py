"""One machine for the whole walk; a cluster that a person has running is paused and comes back afterwards."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import HOME, ROOT, Machine, make
from toolchain import cluster


def _cluster(home: Path, *command: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "ml.cli", "cluster", *command],
        cwd=ROOT,
        check=True,
        env={**_env(), "MLP_HOME": str(home)},
    )


def _env() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("MLP_")}


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    paused = cluster.running_home()
    ours = HOME / "home"
    if paused is not None:
        print(f"\npausing the cluster of {paused} for the walk; it comes back afterwards")
        _cluster(paused, "down")
    if (ours / "cluster").exists():
        _cluster(ours, "delete", "--yes")
    try:
        yield make()
    finally:
        _cluster(ours, "delete", "--yes")
        if paused is not None and paused != ours:
            _cluster(paused, "up")
