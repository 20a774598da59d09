"""One machine for all that runs in one go; a cluster that a person has running is paused and comes back afterwards."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import HOME, ROOT, Machine, make
from toolchain import cluster


def _cluster(home: Path, *command: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLP_")}
    mlp = Path(sys.executable).with_name("mlp")
    subprocess.run([mlp, "cluster", *command], cwd=ROOT, check=True, env={**environment, "MLP_HOME": str(home)})


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    ours, keep = HOME / "home", bool(os.environ.get("MLP_E2E_KEEP"))
    paused = cluster.running_home()
    if paused == ours:
        paused = None
    if paused is not None:
        print(f"\npausing the cluster of {paused} for the walk; it comes back afterwards")
        _cluster(paused, "down")
    if ours.exists() and not keep:
        _cluster(ours, "delete", "--yes")
        shutil.rmtree(ours)
    try:
        yield make()
    finally:
        if not keep:
            _cluster(ours, "delete", "--yes")
        if paused is not None:
            _cluster(paused, "up")
