"""Closed-loop load on one address of the loopback: wrk where it is installed, else our own client. Always bounded.

Our own client is a process of its own, on the processor that `pin` names. As a task of the benchmark it would wander
over to the server's processor, and the server's slowest answers would be the scheduler's.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from toolchain.paths import repo_root

MAX_SECONDS = 30.0
SPARE_S = 180.0
"""For the client's start, on a machine that is busy with other things; its load is bounded by itself."""

_SCRIPT = """
wrk.method = "POST"
wrk.body = [==[%s]==]
wrk.headers["Content-Type"] = "application/json"
%s
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests": %%d, "failed": %%d, "seconds": %%f, "p50_ms": %%f, "p99_ms": %%f}\\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What the clients saw."""

    requests: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.requests - self.failed) / self.seconds

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return {**asdict(self), "rate": self.rate}


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One request, sent again and again."""

    port: int
    path: str
    body: str
    headers: Mapping[str, str]


def generator() -> str:
    """The name of the client that `run` uses on this machine."""
    return "wrk" if shutil.which("wrk") else "the benchmark's own asyncio client"


def run(target: Target, *, connections: int, seconds: float, pin: Sequence[str], scratch: Path) -> Result:
    """Load 127.0.0.1 for some seconds, at most `MAX_SECONDS`; `pin` is the command that picks the processor."""
    seconds = min(seconds, MAX_SECONDS)
    command = _wrk(target, connections, seconds, scratch) if shutil.which("wrk") else _own(connections, seconds)
    done = subprocess.run(
        [*pin, *command],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + SPARE_S,
        input=json.dumps(asdict(target)),
        cwd=repo_root(),
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return Result(**json.loads(line.removeprefix("RESULT ")))


def _wrk(target: Target, connections: int, seconds: float, scratch: Path) -> list[str]:
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in target.headers.items())
    script = scratch / "post.lua"
    script.write_text(_SCRIPT % (target.body, headers), encoding="utf-8")
    url = f"http://127.0.0.1:{target.port}{target.path}"
    return ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(script), url]


def _own(connections: int, seconds: float) -> list[str]:
    return [sys.executable, "-m", "benchmarks.load", str(connections), str(seconds)]


class _Client(asyncio.Protocol):
    """Sends the request, waits for its answer, sends it again; comes back when it is told to leave."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._load.transports.add(transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take an answer once it is whole."""
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 or len(data) - end < _length(data):
            self._buffer = data
            return
        load = self._load
        load.latencies.append(time.perf_counter() - self._sent_at)
        load.failed += not data.startswith(b"HTTP/1.1 200")
        self._buffer = b""
        if b"onnection: close\r" in data:
            self._leave()
        else:
            self._send()

    def connection_lost(self, _error: Exception | None) -> None:
        """A server that closes without having said so has failed a request."""
        if self._transport in self._load.transports:
            self._load.failed += not self._load.over
            self._leave()

    def _leave(self) -> None:
        self._load.transports.discard(self._transport)
        self._transport.close()
        if not self._load.over:
            self._load.connect()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._load.request)


def _length(data: bytes) -> int:
    at = data.find(b"content-length: ")
    if at < 0:
        at = data.lower().index(b"content-length: ")
    return int(data[at + 16 : data.index(b"\r", at)])


class _Load:
    """What the connections of one measurement share."""

    def __init__(self, target: Target) -> None:
        body = target.body.encode()
        headers = {**target.headers, "Host": "127.0.0.1", "Content-Type": "application/json"}
        headers |= {"Content-Length": str(len(body))}
        lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.request = "\r\n".join(lines).encode() + body
        self.latencies: list[float] = []
        self.failed = 0
        self.over = False
        self.transports: set[asyncio.BaseTransport] = set()
        self._port = target.port
        self._connecting: set[asyncio.Task[Any]] = set()

    def connect(self) -> None:
        """One connection more."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.create_connection(lambda: _Client(self), "127.0.0.1", self._port))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)


async def load(target: Target, connections: int, seconds: float) -> Result:
    """Our own client, in this process."""
    shared = _Load(target)
    started = time.perf_counter()
    for _ in range(connections):
        shared.connect()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started
    shared.over = True
    for transport in list(shared.transports):
        transport.close()
    p50, p99 = np.percentile(shared.latencies, [50, 99]) * 1e3
    return Result(
        requests=len(shared.latencies), failed=shared.failed, seconds=elapsed, p50_ms=float(p50), p99_ms=float(p99)
    )


if __name__ == "__main__":
    found = uvloop.run(load(Target(**json.load(sys.stdin)), int(sys.argv[1]), float(sys.argv[2])))
    print("RESULT", json.dumps(asdict(found)))
