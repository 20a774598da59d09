"""Coverage-guided fuzzing (atheris) of everything a client's bytes reach: HTTP, routes, JSON, rows, the model.

Runs in the fuzzers' environment, without sockets: `http_target.py RELEASE_FOLDER RELEASE CORPUS [libFuzzer options]`;
`--control` gives the server a defect, to prove that it would be found.
After every input the server must be as it was: nothing waits, nothing is buffered, and the next client gets its answer.
A finding is an exception here; libFuzzer then leaves the input in a file.
"""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["ml", "json", "httptools"]):
    from ml.serving.app import App
    from ml.serving.bundle import load
    from tests.ml.serving.wire import Clock, Wire, parse

GOOD = b'{"features":[5.1,3.5,1.4,0.2]}'
TURNS = 8
STATUSES = {200, 400, 404, 405, 408, 413, 415, 422, 431}
"""What a lone client may get. No 5xx: this model's contract has a range for every feature."""


def request(path: bytes, body: bytes, headers: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nContent-Length: %d\r\n%b\r\n%b" % (path, len(body), headers, body)


def stream(data: bytes) -> list[bytes]:
    """What the client sends, in pieces: the first byte says as what, the second where it is cut."""
    kind, cut, rest = data[0] % 4, data[1], data[2:]
    raw = {
        0: lambda: rest,
        1: lambda: request(b"/predict", rest),
        2: lambda: request(b"/v2/models/iris/infer", rest),
        3: lambda: b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + rest,
    }[kind]()
    if cut == 0:
        return [raw]
    return [raw[start : start + cut] for start in range(0, len(raw), cut)]


class Recorder(App):
    """Remembers the methods it was asked with, in the order of the answers."""

    methods: list[bytes]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.methods = []

    def handle(self, request: Any, reply: Any) -> Any:
        """Answer."""
        self.methods.append(request.method)
        return super().handle(request, reply)


class Defective:
    """What the control must find: a fault on some bodies that are JSON, but no object."""

    def __init__(self, honest: Any) -> None:
        self._honest = honest
        self.encode = honest.encode

    def decode(self, body: bytes) -> Any:
        """Read a body, not quite as carefully."""
        if body[:1].isdigit():
            raise KeyError("features")
        return self._honest.decode(body)


class Target:
    """One server, many clients."""

    def __init__(self, folder: Path, release: str) -> None:
        self.app = Recorder(load(folder, release), keys=None)
        self.clock = Clock()
        self.loop = asyncio.new_event_loop()
        self.pool = Wire(self.app, clock=self.clock).pool
        self.pool.connections.clear()

    def one(self, data: bytes) -> None:
        """One input."""
        if len(data) >= 2:
            self.loop.run_until_complete(self._one(data))

    async def _one(self, data: bytes) -> None:
        self.app.methods.clear()
        wire = Wire(self.app, pool=self.pool, clock=self.clock)
        for piece in stream(data):
            wire.send(piece)
        await self._settle()
        wire.after(20)  # whatever is unfinished is out of time
        await self._settle()
        for reply in parse(wire.transport.sent, self.app.methods):
            assert reply.status in STATUSES, reply
            assert re.fullmatch(rb"[A-Za-z0-9_.:-]*", reply.headers.get(b"x-request-id", b"")), reply
            if reply.headers[b"content-type"] == b"application/json" and reply.body:
                _ = reply.json  # refuses NaN
        wire.connection.connection_lost(None)
        await self._still_well()

    async def _settle(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
            self.clock.turn()

    async def _still_well(self) -> None:
        assert self.pool.connections == {}
        assert self.pool.buffered == 0
        assert self.app.metrics.in_flight == 0
        other = Wire(self.app, pool=self.pool, clock=self.clock)
        other.send(request(b"/predict", GOOD))
        await self._settle()
        (reply,) = other.replies()
        assert reply.status == 200, reply
        other.connection.connection_lost(None)


def seeds(folder: Path) -> None:
    """Inputs to start from: one of each kind."""
    infer = b'{"id":"1","inputs":[{"name":"features","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}'
    many = b'{"instances":[[5.1,3.5,1.4,0.2],{"sepal_length":1,"sepal_width":2,"petal_length":3,"petal_width":4}]}'
    found = [
        b"\x00\x00GET /health HTTP/1.1\r\nX-Request-Id: a\r\n\r\nHEAD /metrics HTTP/1.1\r\n\r\n",
        b"\x00\x07" + request(b"/predict", GOOD, b"Expect: 100-continue\r\nConnection: close\r\n"),
        b"\x00\x00" + request(b"/predict", GOOD) * 3,
        b"\x00\x00GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"\x01\x00" + GOOD,
        b"\x01\x03" + many,
        b'\x01\x00{"features":[1e999,NaN,-Infinity,"x"]}',
        b"\x02\x00" + infer,
        b"\x03\x015\r\n" + GOOD[:5] + b"\r\n%x;ext=1\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (len(GOOD) - 5, GOOD[5:]),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(found):
        (folder / f"seed-{index}").write_bytes(seed)


def main() -> None:
    """Fuzz until libFuzzer's options say so."""
    folder, release, corpus = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    options = [option for option in sys.argv[4:] if option != "--control"]
    seeds(corpus)
    target = Target(folder, release)
    if "--control" in sys.argv:
        route = target.app.routes["/predict"]
        route.codec = Defective(route.codec)
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
