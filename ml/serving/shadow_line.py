"""One kept HTTP/1.1 connection to the slot that is compared with; every answer is bounded in size.

Plain HTTP inside the namespace and nothing else: the serving image has no client library, and needs none for this.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import httptools

from ml.serving.shadow_name import HostName

MAX_REPLY_BYTES: Final = 256 * 1024
_CHUNK: Final = 64 * 1024


class LineError(Exception):
    """What came back is no HTTP answer, or too much of one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where the other slot answers."""

    host: str
    port: int


class ShadowLine:
    """Asks one request at a time; opens a connection when there is none. The caller bounds the time."""

    def __init__(self, host: HostName, port: int) -> None:
        self._host, self._port = host, port
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, message: bytes) -> tuple[int, bytes]:
        """Send a whole request; the status and the body of its answer.

        Raises:
            OSError: Nobody is there, or the connection was lost.
            LineError: See the class.
        """
        if self._stream is not None:
            try:
                return await self._exchange(message)
            except (_ClosedError, ConnectionError):  # a kept connection may end at any moment: once more on a new one
                self.close()
        self._stream = await asyncio.open_connection(await self._host.address(), self._port)
        return await self._exchange(message)

    def close(self) -> None:
        """Forget the connection, whatever was under way on it."""
        if self._stream is not None:
            self._stream[1].transport.abort()
            self._stream = None

    async def _exchange(self, message: bytes) -> tuple[int, bytes]:
        if self._stream is None:
            raise _ClosedError
        reader, writer = self._stream
        writer.write(message)
        reply = _Reply()
        parser = httptools.HttpResponseParser(reply)
        received = 0
        while not reply.complete:
            data = await reader.read(_CHUNK)
            received += len(data)
            if not data:
                raise _ClosedError if received == 0 else LineError("the answer is cut off")
            if received > MAX_REPLY_BYTES:
                raise LineError(f"the answer is larger than {MAX_REPLY_BYTES} bytes")
            try:
                parser.feed_data(data)
            except httptools.HttpParserError as error:
                raise LineError(f"not HTTP: {error}") from error
        if not parser.should_keep_alive():
            self.close()
        return parser.get_status_code(), bytes(reply.body)


class _ClosedError(LineError):
    """The other side closed the connection before it answered."""


class _Reply:
    """What the parser calls."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.complete = False

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.complete = True
