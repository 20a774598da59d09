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
    if (reason := _no_number(value)) is not None:
        return reason
    kind = METRICS[name]
    return None if kind.low <= value <= kind.high else Reason.OUT_OF_RANGE


def _no_number(value: object) -> Reason | None:
    """Why a value is no finite number; a record holds NaN and infinity as the words of `plain`."""
    if value == "NaN" or (isinstance(value, float) and math.isnan(value)):
        return Reason.NAN
    if value in ("Infinity", "-Infinity") or (isinstance(value, float) and math.isinf(value)):
        return Reason.INFINITE
    return None if is_number(value) else Reason.NOT_A_NUMBER


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is an object with text as keys, else an empty one: the gate judges whatever JSON it is given."""
    fits = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    return value if fits and isinstance(value, Mapping) else {}


def is_count(value: object) -> TypeGuard[int]:
    """Whether the value is a whole number of things, at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


_MOST = 2**53  # beyond it a float does not hold every whole number
