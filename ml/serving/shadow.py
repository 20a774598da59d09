"""Mirrors a sampled share of requests to the idle slot and counts where it would have answered otherwise.

Off unless `SHADOW_URL` is set. No request ever waits for it: what was answered with 200 is put into a bounded queue,
and a few tasks send it on, each request within `TIMEOUT_S`, all together at most `WORKERS / PACE_S` a second. What does
not fit is dropped and counted. A mirrored request carries the credential that its client sent, which both slots know
by the same hash; so no key is stored for it. It also carries the release that mirrors: it is not mirrored again, and a
server of that same release refuses it, since the preview Service may select the live slot for a while.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from ml.serving.batching import Answer
from ml.serving.http import Request, RequestError
from ml.serving.log import event
from ml.serving.shadow_compare import Comparison, Labelled, UnreadableError
from ml.serving.shadow_line import Address, LineError, ShadowLine
from ml.serving.shadow_name import HostName
from ml.serving.spec import Spec

logger = logging.getLogger(__name__)

MARK: Final = b"x-ml-shadow"
WORKERS: Final = 4
PACE_S: Final = 0.04
"""Least time between two requests of one task: a mirrored one costs some 0.4 ms, so 100 a second are 4 % of a core."""
TIMEOUT_S: Final = 1.0
PAUSE_S: Final = 0.1
"""After a failure, so that an idle slot without pods costs 40 attempts a second and no more."""
QUEUE: Final = 64
MAX_ROWS: Final = 256
MAX_BYTES: Final = 32 * 1024
"""Of a body: the queue holds 2 MiB of them at most."""
_CREDENTIALS: Final = (b"authorization", b"x-api-key")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShadowSettings:
    """Where requests are mirrored to, and which share of them, in (0, 1]."""

    address: Address
    share: float


@dataclass(frozen=True, slots=True)
class _Mirrored:
    """A request and what it was answered."""

    message: bytes
    answer: Labelled


class Shadow:
    """The mirror of one process; the event loop that calls `start` owns it."""

    def __init__(
        self, settings: ShadowSettings, spec: Spec, version: str, draw: Callable[[], float] = random.random
    ) -> None:
        self.comparison = Comparison(spec)
        self._settings = settings
        self._version = version.encode()
        self._draw = draw
        self._host = HostName(settings.address.host)
        self._queue: asyncio.Queue[_Mirrored] = asyncio.Queue(QUEUE)
        self._tasks: list[asyncio.Task[None]] = []
        self._reported = False

    def refusal(self, request: Request) -> RequestError | None:
        """Why a request of the mirror is not answered: this release has answered it already."""
        if request.headers.get(MARK) != self._version:
            return None
        return RequestError(409, "own_shadow", "this release mirrored the request; only another one may answer it")

    def offer(self, request: Request, answer: Answer) -> None:
        """Mirror an answered request, if it is drawn."""
        if self._draw() >= self._settings.share or MARK in request.headers:
            return
        if len(answer.labels) > MAX_ROWS or len(request.body) > MAX_BYTES or self._queue.full():
            self.comparison.dropped += 1
            return
        self._queue.put_nowait(_Mirrored(self._message(request), Labelled(labels=answer.labels, scores=answer.scores)))

    def start(self) -> None:
        """Begin to send."""
        self._tasks = [asyncio.get_running_loop().create_task(self._send()) for _ in range(WORKERS)]

    def stop(self) -> None:
        """End at once; what is still queued is not compared."""
        for task in self._tasks:
            task.cancel()

    def _message(self, request: Request) -> bytes:
        headers = [
            (b"host", self._settings.address.host.encode()),
            (b"content-length", b"%d" % len(request.body)),
            (b"x-request-id", request.identity),
            (MARK, self._version),
            *((name, request.headers[name]) for name in _CREDENTIALS if name in request.headers),
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return b"POST %b HTTP/1.1\r\n%b\r\n%b" % (request.path.encode(), lines, request.body)

    async def _send(self) -> None:
        line = ShadowLine(self._host, self._settings.address.port)
        try:
            while True:
                mirrored = await self._queue.get()
                answered = await self._compare(line, mirrored)
                await asyncio.sleep(PACE_S if answered else PAUSE_S)
        finally:
            line.close()

    async def _compare(self, line: ShadowLine, mirrored: _Mirrored) -> bool:
        """Ask the other slot and count; whether it answered."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                body = await _answer(line, mirrored)
            self.comparison.compare(mirrored.answer, body)
        except (OSError, LineError, UnreadableError) as error:  # TimeoutError is an OSError
            self._failed(line, f"{type(error).__name__}: {error}")
        except Exception:  # the last resort: a fault of ours must not end the mirror unseen
            logger.exception("shadow_fault")
            self._failed(line, "a fault of the mirror itself")
        else:
            self._reported = False
            return True
        return False

    def _failed(self, line: ShadowLine, reason: str) -> None:
        line.close()
        self.comparison.failed += 1
        if not self._reported:  # the first of a row: a mirror without an idle slot must not fill the log
            self._reported = True
            event(logger, logging.WARNING, "shadow_failed", reason=reason[:200])


async def _answer(line: ShadowLine, mirrored: _Mirrored) -> bytes:
    status, body = await line.ask(mirrored.message)
    if status != HTTPStatus.OK:
        raise UnreadableError(f"answered {status}")
    return body


def open_shadow(settings: ShadowSettings | None, spec: Spec, version: str) -> Shadow | None:
    """The mirror of a release; None where it is off."""
    return None if settings is None else Shadow(settings, spec, version)
