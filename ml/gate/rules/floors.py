"""Absolute limits: a metric against its floor, and against what chance reaches. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.metrics import METRICS, flaw, is_number, mapping
from ml.gate.reasons import Reason

CHANCE: Mapping[str, float] = {"roc_auc": 0.5, "r2": 0.0}
"""What a model reaches that knows nothing: any constant, or any order unrelated to the labels."""


def floors(metrics: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Check]:
    """Every metric that has a floor, against it."""
    for name, floor in sorted(policy["floors"].items()):
        reason = flaw(name, metrics)
        value = metrics.get(name)
        if reason is None and value is not None:
            keeps = value >= floor if METRICS[name].higher_is_better else value <= floor
            reason = Reason.OK if keeps else Reason.BEYOND_FLOOR
        yield check(name, "floor", value, floor, reason or Reason.MISSING)


def better_than_chance(evaluation: Mapping[str, Any], metrics: Mapping[str, Any]) -> Iterator[Check]:
    """The whole confidence interval is above what chance reaches: permuted labels or features end here."""
    intervals = mapping(evaluation.get("intervals"))
    for name, chance in CHANCE.items():
        if flaw(name, metrics) is None:
            low = mapping(intervals.get(name)).get("low")
            reason = _interval_flaw(mapping(intervals.get(name)), metrics[name])
            if reason is None:
                reason = Reason.OK if is_number(low) and low > chance else Reason.BY_CHANCE
            yield check(name, "chance", low, chance, reason)


def _interval_flaw(interval: Mapping[str, Any], value: float) -> Reason | None:
    low, high = interval.get("low"), interval.get("high")
    fits = is_number(low) and is_number(high) and low <= value <= high
    return None if fits else Reason.INTERVAL_UNUSABLE
