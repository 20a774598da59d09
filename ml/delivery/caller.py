"""Calls the model server through a Service, one connection a call, so that the calls spread over its pods."""

from collections.abc import Mapping
from time import monotonic, perf_counter, sleep
from typing import Any, Final

import httpx

from ml.delivery.smoke import PREDICT, Call, Reply

TIMEOUT_S: Final = 2.0
"""Whoever waits longer for one row has no answer."""
WRONG_KEY: Final = "no-key-of-this-stack"
PAUSE_S: Final = 0.2


class Caller:
    """A client of one Service.

    Args:
        url: Such as `http://model-green`.
        key: The API key; never logged.
        transport: Replaces the network in tests.
    """

    def __init__(self, url: str, key: str, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        self._key = key
        limits = httpx.Limits(max_keepalive_connections=0)
        # No proxy of the surroundings stands between two pods.
        self._client = httpx.Client(timeout=TIMEOUT_S, limits=limits, transport=transport, trust_env=False)

    def predict(self, call: Call) -> Reply:
        """Send one prediction request; never raises for what the server does."""
        key = WRONG_KEY if call.expected == "unauthenticated" else self._key
        headers = {"x-api-key": key, "content-type": "application/json"}
        sent: dict[str, Any] = {"content": call.body} if isinstance(call.body, str) else {"json": call.body}
        return self._ask("POST", PREDICT, headers=headers, **sent)

    def get(self, path: str) -> Reply:
        """Read a page that needs no key."""
        return self._ask("GET", path)

    def reach(self, patience_s: float) -> Reply:
        """Ask `/ready` until anything answers, with whatever status, or the time is up; the last reply.

        A Service that has just been made is not yet known to the node that asks: until its rules and its name are
        there, a failure says nothing about the slot behind it.
        """
        last = monotonic() + patience_s
        while (reply := self.get("/ready")).status == 0 and monotonic() < last:
            sleep(PAUSE_S)
        return reply

    def text(self, path: str) -> str:
        """A page's text; empty when there is no answer."""
        reply = self.get(path)
        return reply.body if reply.status == 200 and isinstance(reply.body, str) else ""

    def _ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **sent: Any) -> Reply:
        started = perf_counter()
        try:
            answer = self._client.request(method, self._url + path, headers=headers, **sent)
        except httpx.HTTPError as error:
            return Reply(status=0, body=f"{type(error).__name__}: {error}", seconds=perf_counter() - started)
        return Reply(status=answer.status_code, body=_body(answer), seconds=perf_counter() - started)


def _body(answer: httpx.Response) -> Any:
    if "json" not in answer.headers.get("content-type", ""):
        return answer.text
    try:
        return answer.json()
    except ValueError:
        return answer.text
