"""Calls the application directly: milliseconds, no sockets. How bytes become requests is the matter of `wire.py`."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from ml.serving.app import App
from ml.serving.http import Request, Response

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
) -> Reply:
    """One request, as a connection hands it over."""
    sent = {name.lower().encode(): value.encode() for name, value in headers}
    if key is not None:
        sent[b"x-api-key"] = key.encode()
    request = Request(method.encode(), path, sent, True, perf_counter())
    app.admit(request)
    request.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    app.handle(request, answered.set_result)
    response = await answered
    return Reply(response.status, {**dict(response.headers), b"x-request-id": request.identity}, response.body)


async def predict(app: App, body: object, **options: Any) -> Reply:
    return await call(app, "POST", "/predict", body, **options)


async def scrape(app: App) -> dict[str, float]:
    """Every series of /metrics with its value."""
    text = (await call(app, "GET", "/metrics")).body.decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}
