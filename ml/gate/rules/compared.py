"""A metric against a limit: the absolute floors, and the champion's value less an allowed drop. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from ml.gate.check import Check, check
from ml.gate.metrics import METRICS, flaw
from ml.gate.reasons import Reason

ROUNDING_DIGITS = 12  # so that 0.70 against a champion of 0.75 is exactly the allowed drop, not a rounding error more


def floors(metrics: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Check]:
    """Every metric that has a floor, against it."""
    for name, floor in sorted(policy["floors"].items()):
        yield _compared(name, "floor", metrics, floor, Reason.BEYOND_FLOOR)


def against_champion(
    metrics: Mapping[str, Any], champion: Mapping[str, Any] | None, policy: Mapping[str, Any]
) -> Iterator[Check]:
    """Every metric of either model against the champion's value less the allowed drop."""
    if champion is None:
        return
    for name in sorted({*metrics, *champion, *policy["floors"]}):
        if flaw(name, champion) is not None:
            yield check(name, "champion", metrics.get(name), champion.get(name), Reason.CHAMPION_UNUSABLE)
            continue
        drop = policy["max_drops"].get(name, policy["max_drop"])
        limit = champion[name] + (-drop if METRICS[name].higher_is_better else drop)
        limit = round(limit, ROUNDING_DIGITS)
        yield _compared(name, "champion", metrics, limit, Reason.WORSE_THAN_CHAMPION)


def _compared(
    name: str, rule: Literal["floor", "champion"], metrics: Mapping[str, Any], limit: float, worse: Reason
) -> Check:
    value: Any = metrics.get(name)
    reason = flaw(name, metrics)
    if reason is None:
        keeps = value >= limit if METRICS[name].higher_is_better else value <= limit
        reason = Reason.OK if keeps else worse
    return check(name, rule, value, limit, reason)
