"""What one client sends, as requests: HTTP/1.1 by httptools' parser, held to the limits of `ml.serving.pool.Limits`.

A request that breaks a limit comes out refused, after those before it, and nothing is read behind it.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from time import perf_counter
from typing import Any

import httptools

from ml.serving.http import MAX_BODY_BYTES, RETRY_AFTER, Request, RequestError, too_large
from ml.serving.pool import Pool

NEVER = float("inf")
WIRE_FACTOR = 2
"""A chunked body may take this much of its limit on the wire: it bounds chunk sizes, their extensions and trailers."""


class Reading(Enum):
    """What the next byte of the client belongs to."""

    NOTHING = auto()  # between requests
    HEAD = auto()
    BODY = auto()
    ENDED = auto()  # no request comes any more: the client said so, or broke a limit


class RequestReader:
    """Reads one connection. `requests` are whole or refused, in their order; whoever takes them answers them.

    Args:
        pool: Its limits, and the application that admits each head.
        clock: The loop's.
        go_on: Sends `100 Continue`, unless answers are still to be sent before it.
    """

    def __init__(self, pool: Pool, clock: Callable[[], float], go_on: Callable[[], None]) -> None:
        self.requests: deque[Request] = deque()
        self.state = Reading.NOTHING
        self.deadline = clock() + pool.limits.header_s
        self._pool = pool
        self._clock = clock
        self._go_on = go_on
        self._parser: Any = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = self._wire_bytes = self._body_bytes = self._buffered = 0
        self._began = False
        self._begun = 0
        self._request: Request | None = None
        self._parts: list[bytes] = []

    @property
    def unfinished(self) -> bool:
        """Whether a request has begun and is not whole."""
        return self.state in (Reading.HEAD, Reading.BODY)

    @property
    def untouched(self) -> bool:
        """Whether no request has begun yet."""
        return self._begun == 0

    def renew(self) -> None:
        """The client was not read from for a while, through no fault of its own: its unfinished request starts anew."""
        if self.unfinished:
            limits = self._pool.limits
            self.deadline = self._clock() + (limits.header_s if self.state is Reading.HEAD else limits.body_s)

    def feed(self, data: bytes) -> None:
        """Read on."""
        if self.state is Reading.ENDED:
            return
        self._began = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.state = Reading.ENDED  # the request itself was taken; see on_headers_complete
        except httptools.HttpParserError as error:
            self._refuse(RequestError(400, "malformed_http", f"not HTTP/1.1: {error}", close=True))
        if self.unfinished:
            self._bound(len(data))

    def time_out(self) -> None:
        """The deadline of an unfinished request has passed."""
        part = "header" if self.state is Reading.HEAD else "body"
        self._refuse(RequestError(408, "timeout", f"the {part} did not arrive in time", close=True))

    def end(self) -> None:
        """Read nothing more; what is unfinished is forgotten."""
        self.state = Reading.ENDED
        self.deadline = NEVER
        self._forget()

    def close(self) -> None:
        """The connection is gone. Breaks the reference cycles, so that the collector has nothing to do."""
        self.end()
        self.requests.clear()
        self._parser = None
        self._go_on = _nothing

    # -- the parser's callbacks

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self.state is not Reading.NOTHING:
            return
        self.state = Reading.HEAD
        self.deadline = self._clock() + self._pool.limits.header_s
        self._began = True
        self._begun += 1
        self._url = b""
        self._headers = {}
        self._head_bytes = self._wire_bytes = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._head_bytes += len(url)
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody reads."""
        if self.state is Reading.HEAD:
            self._head_bytes += len(name) + len(value) + 4
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is whole: it may be refused before a byte of the body is kept."""
        if self.state is not Reading.HEAD:
            return
        if self._head_bytes > self._pool.limits.header_bytes:
            self._refuse(self._header_too_large())
            return
        parser, headers = self._parser, self._headers
        keep_alive = parser.should_keep_alive() and parser.get_http_version() == "1.1"
        self._request = request = Request(parser.get_method(), _path(self._url), headers, keep_alive, perf_counter())
        self._pool.app.admit(request)
        length = int(headers.get(b"content-length", b"0"))  # the parser lets only digits through
        if parser.should_upgrade():  # the parser would not read a body any more
            request.keep_alive = False
            if length or b"transfer-encoding" in headers:
                text = "this server speaks HTTP/1.1 only; send the request without Upgrade"
                self._refuse(RequestError(400, "upgrade_refused", text, close=True))
                return
        if length > MAX_BODY_BYTES:
            self._refuse(too_large())
            return
        if request.route is not None and self._pool.crowded:
            text = f"{self._pool.limits.connections} connections are open; try again"
            request.refusal = RequestError(503, "overloaded", text, [RETRY_AFTER], close=True)
        self.state = Reading.BODY
        self.deadline = self._clock() + self._pool.limits.body_s
        if b"expect" in headers:
            self._expected(request)

    def on_body(self, part: bytes) -> None:
        """A piece of the body; kept only for a request that was admitted and needs it."""
        if self.state is not Reading.BODY or self._request is None:
            return
        self._body_bytes += len(part)
        if self._body_bytes > MAX_BODY_BYTES:
            self._refuse(too_large())
        elif self._request.route is not None and self._request.refusal is None:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        """A request is whole."""
        request = self._request
        if self.state is not Reading.BODY or request is None:
            return
        parts = self._parts
        request.body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._forget()
        self.requests.append(request)
        self.state = Reading.NOTHING if request.keep_alive else Reading.ENDED

    # -- limits

    def _expected(self, request: Request) -> None:
        """`Expect: 100-continue`: the client waits for leave to send its body."""
        if request.refusal is None:
            self._go_on()
        else:  # it may send the body or not: what follows cannot be told apart
            self._refuse(request.refusal)

    def _bound(self, received: int) -> None:
        """Bound what an unfinished request holds, whatever the parser makes of it."""
        limits = self._pool.limits
        self._wire_bytes = 0 if self._began else self._wire_bytes + received
        if self.state is Reading.HEAD:
            if self._wire_bytes > limits.header_bytes:
                self._refuse(self._header_too_large())
            return
        if self._wire_bytes > limits.header_bytes + WIRE_FACTOR * MAX_BODY_BYTES:
            self._refuse(too_large())
            return
        kept = self._body_bytes if self._parts else 0
        self._pool.buffered += kept - self._buffered
        self._buffered = kept
        if self._pool.buffered > limits.buffered_bytes:
            text = "too many bodies are being received; try again"
            self._refuse(RequestError(503, "overloaded", text, [RETRY_AFTER], close=True))

    def _refuse(self, error: RequestError) -> None:
        if self.state is Reading.ENDED:  # behind the last request
            return
        request = self._request or Request(b"", "", {}, False, perf_counter())
        request.refusal = error
        self.requests.append(request)
        self.end()

    def _forget(self) -> None:
        self._pool.buffered -= self._buffered
        self._buffered = 0
        self._request = None
        self._parts = []

    def _header_too_large(self) -> RequestError:
        text = f"the header is larger than {self._pool.limits.header_bytes} bytes"
        return RequestError(431, "header_too_large", text, close=True)


def _nothing() -> None:
    """Nobody is there to go on."""


def _path(url: bytes) -> str:
    """The path of a request's target, as it was sent; empty when it has none (`*`, `host:port`)."""
    if not url.startswith(b"/"):
        try:
            url = httptools.parse_url(url).path or b""
        except httptools.HttpParserInvalidURLError:
            return ""
    return url.partition(b"?")[0].decode("latin-1")
