"""What a slot's counters have counted since a moment, pooled over its pods. Pure.

Raw counters are compared, not `increase()`: that extrapolates, and exact tests want whole numbers. A pod that restarts
begins at nought, a new pod likewise; one that is gone keeps what it had counted.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ml.drift.live import FEATURES, PREDICTIONS, Live

Key = tuple[tuple[str, str], ...]
"""The labels of one series, sorted."""
Reading = Mapping[Key, float]

REQUESTS: Final = "ml_requests_total"
ROWS: Final = "ml_predictions_total"
TIMES: Final = "ml_prediction_duration_seconds"
NAMES: Final = (REQUESTS, ROWS, f"{TIMES}_bucket", f"{TIMES}_count", FEATURES, PREDICTIONS)
_PREDICTS: Final = re.compile(r"/predict|/v2/models/[^/]+/infer")


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """Whole numbers of one window."""

    requests: int = 0
    """Predictions that were answered or failed; what a client did wrong (4xx) says nothing about the release."""
    errors: int = 0
    """Of the requests, those answered with 5xx."""
    timed: int = 0
    slow: int = 0
    """Of the timed ones, those that took longer than the limit."""
    rows: int = 0
    lost: int = 0
    """Of the rows, those for which the model failed or answered no finite number."""


def reading(body: Any) -> dict[Key, float]:
    """The samples of an instant query.

    Raises:
        ValueError: If the body is no answer of Prometheus to one.
    """
    try:
        return {
            tuple(sorted((str(name), str(value)) for name, value in series["metric"].items())): float(
                series["value"][1]
            )
            for series in body["data"]["result"]
        }
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"no result of an instant query: {error!r}") from error


class Pool:
    """Adds up what counters have counted since the first reading."""

    def __init__(self, first: Reading) -> None:
        self._last = dict(first)
        self._counted = dict.fromkeys(first, 0.0)

    def add(self, now: Reading) -> None:
        """Take in a later reading."""
        for key, value in now.items():
            last = self._last.get(key, 0.0)
            # below its last value a counter began anew
            self._counted[key] = self._counted.get(key, 0.0) + (value - last if value >= last else value)
            self._last[key] = value

    def totals(self, slow_s: float) -> Totals:
        """The sums over all pods.

        Args:
            slow_s: A request that takes longer is slow; one of the histogram's bounds, so that none is guessed.
        """
        found = dict.fromkeys(("requests", "errors", "timed", "fast", "rows", "lost"), 0.0)
        for key, value in self._counted.items():
            labels = dict(key)
            for name in _parts(labels, slow_s):
                found[name] += value
        timed, fast = round(found["timed"]), round(found["fast"])
        return Totals(
            requests=round(found["requests"]),
            errors=round(found["errors"]),
            timed=timed,
            slow=max(timed - fast, 0),
            rows=round(found["rows"]),
            lost=round(found["lost"]),
        )

    def live(self, release: str) -> Live:
        """Rows by feature and bin, and answers by output and bin; those of one release, since others have other bins.

        Args:
            release: Its id.
        """
        found: dict[str, dict[str, dict[str, float]]] = {FEATURES: {}, PREDICTIONS: {}}
        for key, value in self._counted.items():
            labels = dict(key)
            column = {FEATURES: "feature", PREDICTIONS: "output"}.get(labels["__name__"])
            if column is not None and labels.get("version") == release:
                bins = found[labels["__name__"]].setdefault(labels[column], {})
                bins[labels["bin"]] = bins.get(labels["bin"], 0.0) + value
        return Live(features=found[FEATURES], predictions=found[PREDICTIONS])


def _parts(labels: Mapping[str, str], slow_s: float) -> tuple[str, ...]:
    """The sums that a series goes into."""
    name = labels["__name__"]
    if name == REQUESTS and _PREDICTS.fullmatch(labels.get("route", "")):
        return {"2xx": ("requests",), "5xx": ("requests", "errors")}.get(labels.get("code", ""), ())
    if name == ROWS:
        return ("rows", "lost") if labels.get("outcome") == "error" else ("rows",)
    if name == f"{TIMES}_count":
        return ("timed",)
    if name == f"{TIMES}_bucket" and math.isclose(float(labels.get("le", "nan")), slow_s):
        return ("fast",)
    return ()
