"""Clients that mean no good: sockets that trickle, bodies without end. Only 127.0.0.1, bounded in number and time."""

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Self

PIECE_BYTES = 65536
PATIENCE_S = 30.0
NO_ANSWER = "closed without an answer"

Form = Callable[[bytes], tuple[str, Iterator[bytes]]]
"""Makes of a body the header that announces it, and what is sent of it."""


def head(key: str, *headers: str) -> bytes:
    """The beginning of a prediction; without an empty line at its end it is no whole header yet."""
    return "\r\n".join(["POST /predict HTTP/1.1", "Host: model", f"X-API-Key: {key}", *headers, ""]).encode()


def declared(body: bytes) -> tuple[str, Iterator[bytes]]:
    """The length is said before."""
    return f"Content-Length: {len(body)}", _pieces(body)


def chunked(body: bytes) -> tuple[str, Iterator[bytes]]:
    """Nobody knows how long it gets."""
    chunks = (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in _pieces(body))
    return "Transfer-Encoding: chunked", (chunk for chunks in (chunks, (b"0\r\n\r\n",)) for chunk in chunks)


def _pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES))


def upload(port: int, key: str, form: Form, body: bytes) -> str:
    """Send all of a body, whatever the server says meanwhile; its status line, or how it ended without one."""
    said, pieces = form(body)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        with suppress(OSError):  # the server may have closed before all is sent
            connection.sendall(head(key, said, ""))
            for piece in pieces:
                connection.sendall(piece)
        try:
            line = connection.recv(PIECE_BYTES).partition(b"\r\n")[0]
        except OSError as error:
            return f"no answer: {error!r}"
    return line.decode("latin-1") or NO_ANSWER


def uploads(port: int, key: str, form: Form, body: bytes, count: int, *, niceness: int = 0) -> list[str]:
    """So many of them at once; the answer of each.

    With some niceness they leave the processor to the server: what they take from it on a machine that they share is
    no fault of the server's. Too much of it on a busy machine, and they are late with their bodies.
    """
    with ThreadPoolExecutor(count, initializer=partial(_step_back, niceness)) as pool:
        return list(pool.map(lambda _: upload(port, key, form, body), range(count)))


def _step_back(niceness: int) -> None:
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(mine + niceness, 19))


@dataclass(eq=False)
class Slow:
    """One socket that never finishes what it says."""

    part: str
    """`header` or `body`: what it dribbles."""
    connection: socket.socket
    since: float
    answer: bytes = b""
    closed_s: float | None = None
    """How long the server bore it."""

    @property
    def status(self) -> str:
        """The status line that it got."""
        return self.answer.partition(b"\r\n")[0].decode("latin-1") or NO_ANSWER


@dataclass
class Trickle:
    """So many sockets, every other one in the middle of a header, the rest in that of a body."""

    port: int
    key: str
    count: int
    slow: list[Slow] = field(default_factory=list)

    def __enter__(self) -> Self:
        starts = (("header", head(self.key)), ("body", head(self.key, "Content-Length: 500", "") + b"{"))
        self._stack = ExitStack()
        for number in range(self.count):
            part, start = starts[number % 2]
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
            self._stack.callback(connection.close)
            connection.sendall(start)
            connection.setblocking(False)
            self.slow.append(Slow(part, connection, time.monotonic()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def left(self) -> Sequence[Slow]:
        """Those that are still open and have not got a word."""
        return [one for one in self.slow if one.closed_s is None and not one.answer]

    def go_on(self, seconds: float, every_s: float = 1.0) -> None:
        """A byte of each, every second, until all are closed or for so long."""
        end, due = time.monotonic() + seconds, time.monotonic()
        with selectors.DefaultSelector() as selector:
            for one in self.slow:
                if one.closed_s is None:
                    selector.register(one.connection, selectors.EVENT_READ, one)
            while selector.get_map() and time.monotonic() < end:
                for key, _ in selector.select(min(max(due - time.monotonic(), 0), end - time.monotonic())):
                    if _read(key.data):
                        selector.unregister(key.fileobj)
                if time.monotonic() >= due:
                    due += every_s
                    self._dribble()

    def _dribble(self) -> None:
        for one in self.left:
            with suppress(OSError):  # closed just now: the next look says so
                one.connection.send(b"x")


def _read(one: Slow) -> bool:
    """Take what the server says; whether it has closed."""
    try:
        said = one.connection.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        said = b""
    one.answer += said
    if not said:
        one.closed_s = time.monotonic() - one.since
    return not said
