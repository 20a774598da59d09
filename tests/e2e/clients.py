"""Three kinds of clients of the live Service at once, in a process of their own: `python -m tests.e2e.clients`.

- `kept`: closed loop, a connection is kept until the server says that it closes it;
- `fresh`: closed loop, a new connection for every request;
- `piped`: open loop at a fixed rate, two requests of many rows sent at once, whether or not the last were answered.

None of them tries anything again: what is not answered with 200 by a release has failed. Only 127.0.0.1, bounded in
number and time. Ends when its standard input is closed, and prints what it saw as one line of JSON.
"""

import asyncio
import itertools
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

MOST_S = 3600.0
PATIENCE_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """How much of each kind. Rates are kept by pausing, so they are upper bounds."""

    kept: int = 6
    fresh: int = 2
    pause_s: float = 0.02
    """Between two requests of a closed loop."""
    piped_hz: float = 4.0
    """Pairs a second."""
    piped_rows: int = 500
    limit: int = 500_000


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the clients saw."""

    calls: Mapping[str, int]
    """Kind of client -> answered or failed."""
    failures: Sequence[tuple[float, str, str]]
    """Time, kind, words."""
    versions: Mapping[str, Sequence[float]]
    """Release -> first and last answer of each time that it was seen without a pause of two seconds: `[a, b, a, b]`."""
    longest_s: float
    """The slowest answer."""
    took_ms: Mapping[str, int] = field(default_factory=dict)
    """Milliseconds -> how many answers to one row took so long."""
    told: bool = True
    """They called until they were told to end; otherwise they had reached their limit, and saw nothing of the rest."""

    @property
    def p95_s(self) -> float:
        """What 95 of 100 answers to one row took at most; NaN without any."""
        left = 0.95 * sum(self.took_ms.values())
        for took_ms, number in sorted((int(took_ms), number) for took_ms, number in self.took_ms.items()):
            left -= number
            if left <= 0:
                return took_ms / 1000
        return float("nan")

    @property
    def failing_s(self) -> float:
        """For how long calls failed: every stretch of failures less than a second apart, from its first to its last."""
        times = [at for at, _, _ in self.failures]
        return sum(after - before for before, after in itertools.pairwise(times) if after - before < 1)

    @property
    def total(self) -> int:
        """All calls."""
        return sum(self.calls.values())


class Clients:
    """Runs the clients while the block lasts; `seen` holds what they saw afterwards."""

    def __init__(self, port: int, key: str, rows: Sequence[Sequence[Any]], load: Load) -> None:
        self._wanted = {"port": port, "key": key, "rows": rows, "load": asdict(load)}
        self._seen: Seen | None = None

    @property
    def seen(self) -> Seen:
        """What they saw, once the block is left."""
        if self._seen is None:
            raise RuntimeError("the clients are still at it")
        return self._seen

    def __enter__(self) -> Self:
        root = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-m", "tests.e2e.clients"]
        self._process = subprocess.Popen(
            command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdin is not None
        # The key goes in by a pipe: an argument would be in the list of processes.
        self._process.stdin.write(json.dumps(self._wanted) + "\n")
        self._process.stdin.flush()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            printed, _ = self._process.communicate(timeout=60)
        finally:
            self._process.kill()
        self._seen = Seen(**json.loads(printed.splitlines()[-1]))
        if kind is None and not self._seen.told:  # the block's own failure says more
            raise AssertionError(f"the clients had ended before the block did, after {self._seen.total} calls")


@dataclass
class _Book:
    """Everything that is counted."""

    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("kept", "fresh", "piped"), 0))
    failures: list[tuple[float, str, str]] = field(default_factory=list)
    versions: dict[str, list[float]] = field(default_factory=dict)
    longest_s: float = 0.0
    took_ms: Counter[int] = field(default_factory=Counter)
    told: bool = False
    over: bool = False

    def answered(self, kind: str, version: str, took_s: float) -> None:
        now = time.time()
        self.calls[kind] += 1
        self.longest_s = max(self.longest_s, took_s)
        if kind != "piped":
            self.took_ms[math.ceil(took_s * 1000)] += 1
        spans = self.versions.setdefault(version, [])
        if not spans or now - spans[-1] > 2:
            spans += [now, now]
        spans[-1] = now

    def failed(self, kind: str, why: str) -> None:
        self.calls[kind] += 1
        self.failures.append((time.time(), kind, why))


@dataclass(frozen=True, kw_only=True)
class _Server:
    """Where to, and what is sent."""

    port: int
    ones: Iterator[bytes]
    many: bytes

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port), PATIENCE_S)


async def _answer(reader: asyncio.StreamReader) -> tuple[str, bool]:
    """The release that answered, and whether the connection ends; ValueError on anything but 200."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).decode("latin-1").lower()
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    body = await asyncio.wait_for(reader.readexactly(int(length.partition(":")[2])), PATIENCE_S)
    if not head.startswith("http/1.1 200"):
        raise ValueError(f"{head.splitlines()[0]}: {body[:200]!r}")
    return str(json.loads(body)["model_version"]), "\r\nconnection: close" in head


_FAULTS = (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError, KeyError, StopIteration)


async def _kept(server: _Server, book: _Book, pause_s: float) -> None:
    writer: asyncio.StreamWriter | None = None
    while not book.over:
        started = time.perf_counter()
        try:
            if writer is None:
                reader, writer = await server.connect()
            writer.write(next(server.ones))
            version, ends = await _answer(reader)
        except _FAULTS as error:
            book.failed("kept", repr(error))
            writer = _closed(writer)
        else:
            book.answered("kept", version, time.perf_counter() - started)
            writer = _closed(writer) if ends else writer
        await asyncio.sleep(pause_s)
    _closed(writer)


async def _fresh(server: _Server, book: _Book, pause_s: float) -> None:
    while not book.over:
        started, writer = time.perf_counter(), None
        try:
            reader, writer = await server.connect()
            writer.write(next(server.ones))
            version, _ = await _answer(reader)
        except _FAULTS as error:
            book.failed("fresh", repr(error))
        else:
            book.answered("fresh", version, time.perf_counter() - started)
        _closed(writer)
        await asyncio.sleep(pause_s)


async def _piped(server: _Server, book: _Book, hertz: float) -> None:
    """At a fixed rate, whatever became of the earlier ones; each pair has a connection of its own, used once more."""
    running: set[asyncio.Task[None]] = set()
    began, number = time.perf_counter(), 0
    while not book.over:
        number += 1
        task = asyncio.create_task(_pairs(server, book))
        running.add(task)
        task.add_done_callback(running.discard)
        await asyncio.sleep(max(began + number / hertz - time.perf_counter(), 0))
    await asyncio.gather(*running)


async def _pairs(server: _Server, book: _Book) -> None:
    """Two pairs on one connection; a pair that the server's `close` cut in two was not answered, and has failed."""
    writer, open_calls = None, 0
    try:
        reader, writer = await server.connect()
        for _ in range(2):
            started, open_calls = time.perf_counter(), 2
            writer.write(server.many * 2)
            ends = False
            while open_calls:
                version, ends = await _answer(reader)
                open_calls -= 1
                book.answered("piped", version, time.perf_counter() - started)
            if ends:
                break
    except _FAULTS as error:
        for _ in range(max(open_calls, 1)):
            book.failed("piped", repr(error))
    _closed(writer)


def _closed(writer: asyncio.StreamWriter | None) -> None:
    if writer is not None:
        with suppress(OSError):
            writer.close()


def _request(key: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    lines = [
        "POST /predict HTTP/1.1",
        "Host: model",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def _until_told(book: _Book, limit: int) -> None:
    """Until standard input ends, or it has been enough."""
    told = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    end = time.monotonic() + MOST_S
    while sum(book.calls.values()) < limit and time.monotonic() < end:
        if (await asyncio.wait([told], timeout=0.2))[0]:
            book.told = True
            break
    book.over = True


async def _main(wanted: Mapping[str, Any]) -> _Book:
    load, book = Load(**wanted["load"]), _Book()
    rows = list(itertools.islice(itertools.cycle(wanted["rows"]), load.piped_rows))
    server = _Server(
        port=wanted["port"],
        ones=itertools.cycle([_request(wanted["key"], {"features": row}) for row in wanted["rows"]]),
        many=_request(wanted["key"], {"instances": rows}),
    )
    loops: list[Callable[[], Coroutine[Any, Any, None]]] = [lambda: _kept(server, book, load.pause_s)] * load.kept
    loops += [lambda: _fresh(server, book, load.pause_s)] * load.fresh
    if load.piped_hz:
        loops += [lambda: _piped(server, book, load.piped_hz)]
    await asyncio.gather(_until_told(book, load.limit), *(one() for one in loops))
    return book


if __name__ == "__main__":
    found = asyncio.run(_main(json.loads(sys.stdin.readline())))
    found.__dict__.pop("over")
    print(json.dumps(found.__dict__), flush=True)
