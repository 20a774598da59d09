"""More than the live Service can do, from a process of its own: `python -m tests.e2e.matrix.overload`.

Closed loop, to measure what it can do; open loop at a fixed rate, whatever became of the earlier requests. A request
has so many rows that the load comes from the model and not from here. Only 127.0.0.1, bounded in time and in requests
on their way. Reads what is wanted as one line of JSON and prints what it saw as one.
"""

import asyncio
import json
import math
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import uvloop

from tests.e2e.machine import ROOT

MOST_S: Final = 30.0
MOST_HZ: Final = 10_000.0
MOST_AT_ONCE: Final = 512
PATIENCE_S: Final = 15.0
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How much. Without a rate it is a closed loop."""

    seconds: float
    at_once: int
    """Of a closed loop, how many clients; of an open one, above it a request is not sent, and counted."""
    hertz: float | None = None

    def __post_init__(self) -> None:
        if self.seconds > MOST_S or self.at_once > MOST_AT_ONCE or (self.hertz or 0) > MOST_HZ:
            raise ValueError(f"{self}: at most {MOST_S:g} s, {MOST_AT_ONCE} at once, {MOST_HZ:g} a second")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the requests. Times in seconds; NaN of none."""

    seconds: float
    offered: int
    unsent: int
    """Of those offered, by an open loop that had too many on their way."""
    statuses: Mapping[str, int]
    retry_after: int
    """Answers that say when to try again."""
    lost: int
    """Sent and never answered."""
    words: Mapping[str, int]
    """Of those lost."""
    good_p95_s: float
    shed_p95_s: float
    generator_cpu_s: float

    @property
    def good(self) -> int:
        """Answered with 200."""
        return self.statuses.get("200", 0)

    @property
    def shed(self) -> int:
        """Told to come again."""
        return sum(self.statuses.get(status, 0) for status in ("429", "503"))

    @property
    def good_hz(self) -> float:
        """Good answers a second."""
        return self.good / self.seconds


def load(port: int, key: str, rows: Sequence[Sequence[Any]], plan: Plan) -> Outcome:
    """Do it, in another process; every request has all of `rows`."""
    wanted = {"port": port, "key": key, "rows": rows, "plan": asdict(plan)}
    command = [sys.executable, "-m", "tests.e2e.matrix.overload"]
    given = json.dumps(wanted)  # by a pipe: an argument would be in the list of processes
    done = subprocess.run(
        command, cwd=ROOT, input=given, capture_output=True, text=True, check=False, timeout=MOST_S + 60
    )
    assert done.returncode == 0, f"the generator failed: {done.stderr[-2000:]}"
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


@dataclass
class _Book:
    port: int
    request: bytes
    idle: list[Connection] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    took_s: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    retry_after: int = 0
    offered: int = 0
    unsent: int = 0


async def _one(book: _Book) -> None:
    """One request on a connection that is free, or on a new one; nothing is tried again."""
    started, connection = time.perf_counter(), None
    try:
        async with asyncio.timeout(PATIENCE_S):
            if book.idle:
                connection = book.idle.pop()
            else:
                connection = await asyncio.open_connection("127.0.0.1", book.port)
            reader, writer = connection
            writer.write(book.request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = head.partition("content-length:")[2].partition("\r\n")[0]
            await reader.readexactly(int(length))
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:  # a timeout is an OSError
        book.words[repr(error)[:120]] += 1
        _close(connection)
        return
    status = head[9:12]
    book.statuses[status] += 1
    book.retry_after += "\r\nretry-after:" in head
    book.took_s[status == "200"].append(time.perf_counter() - started)
    if "\r\nconnection: close" in head:
        _close(connection)
    else:
        book.idle.append(connection)


def _close(connection: Connection | None) -> None:
    if connection is not None:
        with suppress(OSError):
            connection[1].close()


async def _closed_loop(book: _Book, plan: Plan) -> None:
    end = time.monotonic() + plan.seconds

    async def client() -> None:
        while time.monotonic() < end:
            book.offered += 1
            await _one(book)

    await asyncio.gather(*(client() for _ in range(plan.at_once)))


async def _open_loop(book: _Book, plan: Plan, hertz: float) -> None:
    running: set[asyncio.Task[None]] = set()
    began, wanted = time.monotonic(), round(hertz * plan.seconds)
    while book.offered < wanted:
        due = min(int((time.monotonic() - began) * hertz) + 1, wanted)
        for _ in range(due - book.offered):
            book.offered += 1
            if len(running) >= plan.at_once:
                book.unsent += 1
                continue
            task = asyncio.create_task(_one(book))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.sleep(0.002)
    await asyncio.gather(*running)


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1] if values else float("nan")


async def _main(wanted: Mapping[str, Any]) -> Outcome:
    content = json.dumps({"instances": wanted["rows"]}).encode()
    lines = ["POST /predict HTTP/1.1", "Host: model", f"X-API-Key: {wanted['key']}", f"Content-Length: {len(content)}"]
    book = _Book(port=wanted["port"], request="\r\n".join([*lines, "", ""]).encode() + content)
    plan, started = Plan(**wanted["plan"]), time.perf_counter()
    await (_closed_loop(book, plan) if plan.hertz is None else _open_loop(book, plan, plan.hertz))
    seconds = time.perf_counter() - started
    for connection in book.idle:
        _close(connection)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Outcome(
        seconds=seconds,
        offered=book.offered,
        unsent=book.unsent,
        statuses=dict(book.statuses),
        retry_after=book.retry_after,
        lost=book.words.total(),
        words=dict(book.words.most_common(5)),
        good_p95_s=_p95(book.took_s[True]),
        shed_p95_s=_p95(book.took_s[False]),
        generator_cpu_s=used.ru_utime + used.ru_stime,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(_main(json.loads(sys.stdin.readline()))))), flush=True)
