"""A connection without sockets: a transport that records, a clock that the test moves, an application to talk to."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml.serving.connection import HttpConnection
from ml.serving.http import Request, Response, ok
from ml.serving.pool import Limits, Pool
from tests.ml.serving.client import Reply


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = self.aborted = self.eof = self.paused = False

    def write(self, data: Any) -> None:
        assert not self.eof, "an answer behind the last one"
        self.sent += data

    def write_eof(self) -> None:
        self.eof = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Clock:
    """As much of a loop as a connection needs."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        due, self.soon = self.soon, []
        for callback in due:
            callback()


class Work:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Application:
    """Refuses what the test says; answers at once, or when the test answers."""

    later: bool = False
    handled: list[Request] = field(default_factory=list)
    waiting: list[tuple[Work, Callable[[Response], None]]] = field(default_factory=list)

    def admit(self, request: Request) -> None:
        request.identity = b"id"
        if request.method == b"POST":
            request.route = "predicts"

    def handle(self, request: Request, reply: Callable[[Response], None]) -> Work | None:
        self.handled.append(request)
        if request.refusal is not None:
            reply(request.refusal.response())
            return None
        if not self.later:
            reply(ok({"path": request.path, "body": request.body.decode()}))
            return None
        self.waiting.append((Work(), reply))
        return self.waiting[-1][0]

    def answer(self) -> None:
        self.waiting.pop(0)[1](ok({}))


class Wire:
    """One client's connection. `pool` may be shared with another's."""

    def __init__(self, app: Any = None, *, pool: Pool | None = None, clock: Clock | None = None, **limits: Any) -> None:
        self.app = app or Application()
        self.clock = clock or Clock()
        self.pool = pool or Pool(self.app, Limits(**{"age_s": 0, **limits}))
        self.transport = Transport()
        self.connection = HttpConnection(self.pool, self.clock)  # type: ignore[arg-type]  # as much of a loop as it needs
        self.connection.connection_made(self.transport)

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.connection.data_received(part)

    def after(self, seconds: float) -> None:
        """Time passes, deadlines are looked at."""
        self.clock.now += seconds
        self.pool.sweep(self.clock.now)

    def replies(self) -> list[Reply]:
        """Every answer sent so far, as a client would read them."""
        return parse(self.transport.sent)


def parse(raw: bytes, methods: Sequence[bytes] = ()) -> list[Reply]:
    """Answers as they stand on the wire; those to `HEAD`, by the methods asked, have no body."""
    found: list[Reply] = []
    while raw:
        head, separator, raw = raw.partition(b"\r\n\r\n")
        assert separator
        status, *lines = head.split(b"\r\n")
        if status.startswith(b"HTTP/1.1 100"):
            continue
        headers = dict(line.split(b": ", 1) for line in lines)
        no_body = methods[len(found) : len(found) + 1] == [b"HEAD"]
        length = 0 if no_body else int(headers[b"content-length"])
        found.append(Reply(int(status.split()[1]), headers, raw[:length]))
        raw = raw[length:]
    return found


def post(body: bytes = b"{}", *headers: str, path: str = "/predict") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def get(path: str = "/health", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def chunked(*parts: bytes) -> bytes:
    """The body of a request with `Transfer-Encoding: chunked`."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
