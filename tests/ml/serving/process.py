"""The real server as a process of its own on a free port of the loopback."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """`python -m ml.serving` for the release in a folder."""

    def __init__(self, directory: Path, release: str, keys_file: Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        base = {"MODEL_DIR": str(directory), "MODEL_VERSION": release, "API_KEYS_FILE": str(keys_file)}
        address = {"HOST": "127.0.0.1", "PORT": str(self.port), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ml.serving"],
            env=base | address | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        """Ready; killed at the end, whatever happened."""
        try:
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_ready(self) -> None:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/ready").status_code == 200:
                    return
            assert self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.05)
        raise AssertionError("not ready within 10 s")

    def stop(self) -> tuple[int, list[dict[str, Any]]]:
        """SIGTERM; the exit code and the log."""
        self.process.send_signal(signal.SIGTERM)
        output = self.process.communicate(timeout=20)[0]
        return self.process.returncode, [json.loads(line) for line in output.splitlines()]
