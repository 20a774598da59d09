"""Calls an ASGI application directly: milliseconds, no sockets, full control over how a body arrives."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ml.serving.app import App

KEY = "a-key-of-the-tests"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_constant=_refuse)

    @property
    def error(self) -> str:
        code: str = self.json["error"]["code"]
        return code


def _refuse(literal: str) -> float:
    raise AssertionError(f"the server answered {literal}, which is not JSON")


async def call(
    app: App,
    method: str,
    path: str,
    body: object = b"",
    *,
    key: str | None = KEY,
    headers: Iterable[tuple[str, str]] = (),
    chunks: Iterable[bytes] | None = None,
) -> Reply:
    """One request; `chunks` sends the body in parts, as a chunked upload arrives."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    parts = list(chunks) if chunks is not None else [raw]
    sent = [(name.lower().encode(), value.encode()) for name, value in headers]
    if key is not None:
        sent.append((b"x-api-key", key.encode()))
    if chunks is None:
        sent.append((b"content-length", b"%d" % len(raw)))
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1} for index, part in enumerate(parts)
    ]
    answered: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answered.append(message)

    await app({"type": "http", "method": method, "path": path, "headers": sent}, receive, send)
    if not answered:
        return Reply(0, {}, b"")
    start, end = answered
    headers_out = dict(start["headers"])
    assert int(headers_out[b"content-length"]) == len(end["body"])
    return Reply(start["status"], headers_out, end["body"])


async def predict(app: App, body: object, **options: Any) -> Reply:
    return await call(app, "POST", "/predict", body, **options)


async def scrape(app: App) -> dict[str, float]:
    """Every series of /metrics with its value."""
    text = (await call(app, "GET", "/metrics")).body.decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}
