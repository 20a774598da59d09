"""One client's connection: answers its requests in their order, one at a time, and decides when it ends.

A client that does not read its answers is not read from. After the last answer the connection lingers: our side is
closed and whatever still comes is thrown away, since a reset would destroy an answer that the client has not read yet.
"""

import asyncio
from typing import Any

from ml.serving.http import Request, Response
from ml.serving.pool import Cancellable, Pool
from ml.serving.reader import NEVER, Reading, RequestReader

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
AT_ONCE = 16
"""Requests of one connection that are answered before others have their turn."""


class HttpConnection(asyncio.Protocol):
    """Serves one connection for a pool."""

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._loop = loop
        self._reader = RequestReader(pool, loop.time, self._go_on)
        self._transport: Any = None
        self._stuck_at = self._close_at = self._write_deadline = self._linger_until = NEVER
        self._request: Request | None = None
        self._work: Cancellable | None = None
        self._advancing = self._paused = self._half_closed = False

    # -- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = transport
        now = self._loop.time()
        self._stuck_at = now + self._pool.limits.stuck_s
        self._close_at = now + self._pool.age_s()
        self._pool.enter(self, now)

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone: nobody needs the answer that is being made."""
        self._pool.leave(self)
        self._reader.close()
        if self._work is not None:
            self._work.cancel()
        self._request = self._work = None

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._reader.feed(data)
        self._advance()

    def eof_received(self) -> bool:
        """The client will send no more, but may wait for its answers."""
        self._reader.end()
        self._half_closed = True
        return self._busy

    def pause_writing(self) -> None:
        """The client does not read what it was sent."""
        self._write_deadline = self._loop.time() + self._pool.limits.body_s

    def resume_writing(self) -> None:
        """It does again."""
        self._write_deadline = NEVER
        self._advance()

    # -- the pool's

    def expire(self, now: float) -> None:
        """Close the connection when a deadline has passed."""
        flushed = self._write_deadline == NEVER
        if now > self._write_deadline or (flushed and now > self._linger_until):
            self.abort()
        elif now > self._reader.deadline and not self._paused:
            if self._reader.unfinished:
                self._reader.time_out()
                self._advance()
            else:
                self.close_if_idle()

    def stuck(self, now: float) -> bool:
        """Whether it keeps a place without having asked for anything whole."""
        return now > self._stuck_at and not self._busy and (self._reader.unfinished or self._reader.untouched)

    def close_if_idle(self) -> None:
        """Close the connection unless a request is under way."""
        if not self._busy and not self._reader.unfinished and self._linger_until == NEVER:
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    # -- answering

    @property
    def _busy(self) -> bool:
        return self._request is not None or bool(self._reader.requests)

    def _advance(self) -> None:
        """Answer what has come, as far as the client reads its answers."""
        if self._advancing:
            return
        self._advancing = True
        requests = self._reader.requests
        left = AT_ONCE
        while left and requests and self._request is None and self._write_deadline == NEVER:
            left -= 1
            self._request = request = requests.popleft()
            work = self._pool.app.handle(request, self._reply)
            self._work = work if self._request is not None else None
        self._advancing = False
        if not left and requests and self._request is None:
            self._loop.call_soon(self._advance)
        self._throttle()

    def _reply(self, response: Response) -> None:
        """Send the answer to the current request."""
        request = self._request
        if request is None or self._transport.is_closing():
            return
        self._request = self._work = None
        now = self._loop.time()
        reader = self._reader
        last = reader.state is Reading.ENDED and not reader.requests
        ends = response.close or last or self._leaves(now)
        head_only = request.method == b"HEAD"
        self._transport.write(
            response.render(identity=request.identity, date=self._pool.date, close=ends, head_only=head_only)
        )
        if ends:
            self._linger(now)
        elif reader.state is Reading.NOTHING and not reader.requests:
            reader.deadline = now + self._pool.limits.idle_s
        if not self._advancing:
            self._advance()

    def _leaves(self, now: float) -> bool:
        """Whether this answer asks the client to come back on a new connection.

        Not while it has sent more: those requests would be lost to it. Only one that never pauses is cut off.
        """
        if not self._pool.draining and now < self._close_at and not self._pool.crowded:
            return False
        return not (self._reader.unfinished or self._reader.requests) or now > self._close_at + self._pool.limits.age_s

    def _linger(self, now: float) -> None:
        """The last answer is written: close our side, and let the client close its own."""
        self._reader.end()
        self._reader.requests.clear()
        self._linger_until = now + self._pool.limits.linger_s
        if self._half_closed:
            self._transport.close()
        else:
            self._transport.write_eof()

    def _throttle(self) -> None:
        """Read no further while answers wait for the model or for the client."""
        behind = bool(self._reader.requests) or self._write_deadline != NEVER
        if behind != self._paused and not self._transport.is_closing():
            self._paused = behind
            if behind:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
                self._reader.renew()

    def _go_on(self) -> None:
        if not self._busy:
            self._transport.write(CONTINUE)
