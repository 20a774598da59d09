"""Closed-loop load on one address of the loopback: wrk where it is installed, else our own client. Always bounded."""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

MAX_SECONDS = 30.0

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
    if shutil.which("wrk"):
        return _wrk(target, connections, seconds, pin, scratch)
    return uvloop.run(_own(target, connections, seconds))


def _wrk(target: Target, connections: int, seconds: float, pin: Sequence[str], scratch: Path) -> Result:
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in target.headers.items())
    script = scratch / "post.lua"
    script.write_text(_SCRIPT % (target.body, headers), encoding="utf-8")
    url = f"http://127.0.0.1:{target.port}{target.path}"
    command = [*pin, "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(script), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 10).stdout
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    return Result(**json.loads(line.removeprefix("RESULT ")))


class _Client(asyncio.Protocol):
    """Sends the request, waits for its answer, sends it again."""

    def __init__(self, request: bytes, latencies: list[float], failures: list[int]) -> None:
        self._request = request
        self._latencies = latencies
        self._failures = failures
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take an answer once it is whole."""
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self._latencies.append(time.perf_counter() - self._sent_at)
        self._failures[0] += not head.startswith(b"HTTP/1.1 200")
        self._buffer = rest[length:]
        self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)


async def _own(target: Target, connections: int, seconds: float) -> Result:
    body = target.body.encode()
    headers = {**target.headers, "Host": "127.0.0.1", "Content-Length": str(len(body))}
    lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    request = "\r\n".join(lines).encode() + body
    latencies: list[float] = []
    failures = [0]
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    transports = [
        (await loop.create_connection(lambda: _Client(request, latencies, failures), "127.0.0.1", target.port))[0]
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started
    for transport in transports:
        transport.abort()
    p50, p99 = np.percentile(latencies, [50, 99]) * 1e3
    return Result(requests=len(latencies), failed=failures[0], seconds=elapsed, p50_ms=float(p50), p99_ms=float(p99))
