"""The little HTTP the server needs on top of ASGI: bounded bodies, JSON answers, one shape of error."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

MAX_BODY_BYTES = 1024 * 1024
BODY_DEADLINE_S = 10.0
MAX_MESSAGE_CHARS = 500
JSON = b"application/json"
CLOSE = (b"connection", b"close")
_REQUEST_ID = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:")


class RequestError(Exception):
    """A request that gets an error answer: `{"error": {"code": .., "message": ..}}`."""

    def __init__(self, status: int, code: str, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message if len(message) <= MAX_MESSAGE_CHARS else message[:MAX_MESSAGE_CHARS] + "..."
        self.headers = headers

    def body(self) -> bytes:
        """The JSON answer."""
        return msgspec.json.encode({"error": {"code": self.code, "message": self.message}})


class ClientDisconnectedError(Exception):
    """The client went away before its request was complete; nobody reads an answer."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is ready to send."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()


def ok(value: Any) -> Response:
    """A 200 answer with a JSON value."""
    return Response(200, msgspec.json.encode(value))


async def read_body(receive: Receive, deadline_s: float = BODY_DEADLINE_S) -> bytes:
    """The whole body, at most `MAX_BODY_BYTES` and within the deadline.

    Raises:
        RequestError: 413 body_too_large, 408 timeout; both close the connection.
        ClientDisconnectedError: When the client went away.
    """
    try:
        async with asyncio.timeout(deadline_s):
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                body: bytes = message.get("body", b"")
                return _bounded(body)
            return await _read_parts(message, receive)
    except TimeoutError as error:
        text = f"the body did not arrive within {deadline_s:g} s"
        raise RequestError(408, "timeout", text, [CLOSE]) from error


async def _read_parts(message: Message, receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def check_length(value: bytes | None) -> None:
    """Refuse a declared length over the limit before a byte of the body is read."""
    if value is not None and value.isdigit() and (len(value) > 18 or int(value) > MAX_BODY_BYTES):
        raise _too_large()


def _bounded(body: bytes) -> bytes:
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    return body


def _too_large() -> RequestError:
    return RequestError(413, "body_too_large", f"the body is larger than {MAX_BODY_BYTES} bytes", [CLOSE])


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's `X-Request-Id` where it is harmless, else a new one."""
    given = headers.get(b"x-request-id", b"")
    if 0 < len(given) <= 64 and _REQUEST_ID.issuperset(given):
        return given.decode("ascii")
    return secrets.token_hex(8)
