"""Asks Prometheus how many live rows, and how many answers, fell into each bin."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from ml.drift.live import FEATURES, PREDICTIONS, Live
from ml.errors import TransientError, UsageError

UNITS_S = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
TIMEOUT_S = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where the live counts are, and which of them are meant."""

    url: str
    """Prometheus, such as `http://prometheus:9090`."""
    window: str = "1h"
    """A PromQL duration."""
    match: Mapping[str, str] = field(default_factory=dict)
    """Labels that the counters must have."""


def counts(source: Source, client: httpx.Client, ago: int = 0) -> Live:
    """Rows per feature and bin, and answers per output and bin, of one window.

    Args:
        source: Where, how long a window is, and which counters.
        client: Asks.
        ago: How many whole windows before the newest one.

    Raises:
        UsageError: If Prometheus refuses the query, or a window is no duration.
        TransientError: If it does not answer, or not with a result.
    """
    return Live(
        features=_binned(source, client, ago, FEATURES, "feature"),
        predictions=_binned(source, client, ago, PREDICTIONS, "output"),
    )


def seconds(window: str) -> float:
    """A PromQL duration in seconds.

    Raises:
        UsageError: If it is none.
    """
    if not re.fullmatch(r"([0-9]+(ms|[smhdwy]))+", window):
        raise UsageError("ML-DRIFT-009", f"--window {window!r}: is no duration", "--window takes 30m, 1h, 7d")
    return sum(float(number) * UNITS_S[unit] for number, unit in re.findall(r"([0-9]+)(ms|[smhdwy])", window))


def _binned(source: Source, client: httpx.Client, ago: int, metric: str, label: str) -> dict[str, dict[str, float]]:
    selector = ",".join(f"{name}={_quoted(value)}" for name, value in sorted(source.match.items()))
    offset = f" offset {ago * seconds(source.window):.0f}s" if ago else ""
    query = f"sum by ({label},bin)(increase({metric}{{{selector}}}[{source.window}]{offset}))"
    address = f"{source.url.rstrip('/')}/api/v1/query"
    try:
        answer = client.get(address, params={"query": query}, timeout=TIMEOUT_S)
        body: Any = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        message = f"{address} does not answer: {type(error).__name__}: {error}"
        raise TransientError("ML-DRIFT-002", message, "check --prometheus, and that Prometheus is ready") from error
    if answer.status_code in (400, 422):
        words = body.get("error", "") if isinstance(body, dict) else ""
        raise UsageError("ML-DRIFT-003", f"Prometheus refuses {query!r}: {words}", "--window takes 30m, 1h, 7d")
    return _series(body, address, label)


def _series(body: Any, address: str, label: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    try:
        for series in body["data"]["result"]:
            rows = float(series["value"][1])
            if math.isfinite(rows):
                found.setdefault(series["metric"][label], {})[series["metric"]["bin"]] = rows
    except (KeyError, TypeError, ValueError, IndexError) as error:
        message = f"{address} answered something that is no query result: {error!r}"
        raise TransientError("ML-DRIFT-002", message, "check --prometheus") from error
    return found


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
