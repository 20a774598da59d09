"""What each metric can be: its better direction, its range, and what makes a value of it unusable. Pure."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from ml.gate.reasons import Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """What a metric can be: its better direction and its range."""

    higher_is_better: bool
    low: float = -math.inf
    high: float = math.inf


_SHARE = Metric(higher_is_better=True, low=0.0, high=1.0)
_LOSS = Metric(higher_is_better=False, low=0.0)
METRICS: Mapping[str, Metric] = {
    "accuracy": _SHARE,
    "precision": _SHARE,
    "recall": _SHARE,
    "f1": _SHARE,
    "roc_auc": _SHARE,
    "log_loss": _LOSS,
    "rmse": _LOSS,
    "mae": _LOSS,
    "r2": Metric(higher_is_better=True, high=1.0),
}


def plain(value: Any) -> Any:
    """The value as JSON can hold it: NaN and infinity become the strings "NaN", "Infinity" and "-Infinity"."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def is_number(value: object) -> TypeGuard[float]:
    """Whether the value is a number that a float can hold: not NaN, not infinite, no bool, no huge integer."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def flaw(name: str, metrics: Mapping[str, Any]) -> Reason | None:
    """What makes this metric unusable, whatever the limits are; None when it can be compared."""
    if name not in METRICS:
        return Reason.UNKNOWN
    if metrics.get(name) is None:
        return Reason.MISSING
    value = metrics[name]
    if not is_number(value):
        return Reason.NOT_FINITE
    kind = METRICS[name]
    return None if kind.low <= value <= kind.high else Reason.OUT_OF_RANGE
