"""Asks Prometheus how many live rows fell into each bin."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from ml.errors import TransientError, UsageError

METRIC = "ml_feature_bin_total"
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


def bin_counts(source: Source, client: httpx.Client) -> dict[str, dict[str, float]]:
    """Rows per feature and bin within the window.

    Raises:
        UsageError: If Prometheus refuses the query.
        TransientError: If it does not answer, or not with a result.
    """
    selector = ",".join(f"{name}={_quoted(value)}" for name, value in sorted(source.match.items()))
    query = f"sum by (feature,bin)(increase({METRIC}{{{selector}}}[{source.window}]))"
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
    return _counts(body, address)


def _counts(body: Any, address: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    try:
        for series in body["data"]["result"]:
            rows = float(series["value"][1])
            if math.isfinite(rows):
                found.setdefault(series["metric"]["feature"], {})[series["metric"]["bin"]] = rows
    except (KeyError, TypeError, ValueError, IndexError) as error:
        message = f"{address} answered something that is no query result: {error!r}"
        raise TransientError("ML-DRIFT-002", message, "check --prometheus") from error
    return found


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
