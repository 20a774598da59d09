"""A provider whose Pulumi is gone is ended; one whose Pulumi listens, and whatever else runs, is not."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain import providers

WAITS = "import time\ntime.sleep(60)\n"


class Started:
    """Scripts that wait, under names of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, name: str, *arguments: str, folder: str = "") -> "subprocess.Popen[bytes]":
        script = self._folder / folder / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(WAITS)
        self.processes.append(subprocess.Popen([sys.executable, str(script), *arguments]))
        return self.processes[-1]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Started]:
    started = Started(tmp_path)
    yield started
    for process in started.processes:
        process.kill()
        process.wait()


@pytest.fixture
def engine() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.integration
def test_only_a_provider_whose_pulumi_is_gone_is_ended(start: Started, engine: socket.socket, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ended:
        gone = f"127.0.0.1:{ended.getsockname()[1]}"
    here = f"127.0.0.1:{engine.getsockname()[1]}"
    abandoned = start("pulumi-resource-drill", gone)
    others = [
        start("pulumi-resource-drill", here),
        start("somebody-elses-program", gone),
        start("pulumi-resource-drill", gone, "--another-argument"),
        start("pulumi-resource-drill", "10.0.0.1:1"),
        start("pulumi-resource-drill", gone, folder="another-checkout"),
    ]

    assert providers.end_abandoned(tmp_path) == 1

    assert abandoned.wait(timeout=20) != 0
    assert [other.poll() for other in others] == [None] * len(others)
