"""The HTTP values between a connection and the application: requests, answers, one shape of error."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from typing import Any

import msgspec

Headers = Sequence[tuple[bytes, bytes]]

MAX_BODY_BYTES = 1024 * 1024
MAX_MESSAGE_CHARS = 500
JSON = b"application/json"
RETRY_AFTER = (b"retry-after", b"1")
_STATUS = {status.value: f"{status.value} {status.phrase}".encode() for status in HTTPStatus}
_REQUEST_ID = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:")


class RequestError(Exception):
    """A request that gets an error answer: `{"error": {"code": .., "message": ..}}`.

    `close` ends the connection after the answer: what follows on it cannot be told apart any more.
    """

    def __init__(self, status: int, code: str, message: str, headers: Headers = (), *, close: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message if len(message) <= MAX_MESSAGE_CHARS else message[:MAX_MESSAGE_CHARS] + "..."
        self.headers = headers
        self.close = close

    def response(self) -> "Response":
        """The JSON answer."""
        body = msgspec.json.encode({"error": {"code": self.code, "message": self.message}})
        return Response(self.status, body, JSON, self.headers, close=self.close)


@dataclass(slots=True)
class Request:
    """One request: its head when the application admits it, its body as well when the application handles it.

    `route` and `refusal` are the application's: where it goes, or why it is refused once its body is out of the way.
    """

    method: bytes
    path: str
    headers: dict[bytes, bytes]
    keep_alive: bool
    started_s: float
    body: bytes = b""
    identity: bytes = b""
    route: Any = None
    refusal: RequestError | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is ready to send."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()
    close: bool = False

    def render(self, *, identity: bytes, date: bytes, close: bool, head_only: bool) -> bytes:
        """The answer as HTTP/1.1 writes it, in one piece."""
        extra = b"".join([b"%b: %b\r\n" % header for header in self.headers]) if self.headers else b""
        if close:
            extra += b"connection: close\r\n"
        if identity:
            extra += b"x-request-id: %b\r\n" % identity
        return b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\ndate: %b\r\n%b\r\n%b" % (
            _STATUS[self.status],
            self.content_type,
            len(self.body),
            date,
            extra,
            b"" if head_only else self.body,
        )


def ok(value: Any) -> Response:
    """A 200 answer with a JSON value."""
    return Response(200, msgspec.json.encode(value))


def too_large() -> RequestError:
    """The answer to a body over the limit, sent before the rest of it has come."""
    return RequestError(413, "body_too_large", f"the body is larger than {MAX_BODY_BYTES} bytes", close=True)


class RequestIds:
    """The client's `X-Request-Id` where it is harmless, else a new one, unique over processes."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(6).encode()
        self._count = count(1)

    def of(self, headers: Mapping[bytes, bytes]) -> bytes:
        """The id that the answer and every log line about the request carry."""
        given = headers.get(b"x-request-id", b"")
        if 0 < len(given) <= 64 and _REQUEST_ID.issuperset(given):
            return given
        return b"%b-%x" % (self._process, next(self._count))
