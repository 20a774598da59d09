"""Reads a slot's raw counters from Prometheus, all in one query."""

from typing import Final

import httpx

from ml.delivery.counts import NAMES, Reading, reading

TIMEOUT_S: Final = 3.0


def query(slot: str) -> str:
    """The query for the counters of one slot's pods."""
    return f'{{__name__=~"{"|".join(NAMES)}",job="model",slot="{slot}"}}'


def read(client: httpx.Client, url: str, slot: str, at: float | None = None) -> Reading | None:
    """A slot's counters.

    Args:
        client: Asks.
        url: Prometheus, such as `http://prometheus:9090`.
        slot: blue or green.
        at: Unix time; None for now.

    Returns:
        The counters; None when Prometheus does not answer, or with nothing that is a result.
    """
    asked = {"query": query(slot)} | ({} if at is None else {"time": f"{at:.3f}"})
    try:
        answer = client.get(f"{url.rstrip('/')}/api/v1/query", params=asked, timeout=TIMEOUT_S)
        return reading(answer.json()) if answer.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, ValueError):
        return None
