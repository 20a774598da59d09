"""From the numbers of one paired comparison in a record to what they prove. Pure, standard library only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from ml.statistics import means, shares
from ml.statistics.power import detectable_drop, pass_if_equal

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What a comparison proves.

    Attributes:
        bound: The worst difference that the rows leave possible at alpha, candidate minus champion in the metric's
            own unit: the lowest where more is better, the highest of a loss.
        non_inferior: Whether even that is within the margin.
        p_no_worse: Small where the candidate is worse than the margin beyond chance.
        detectable: The smallest true drop that the rows could have shown, at least 0.
        pass_if_equal: How often a model that is exactly as good would have been found non-inferior.
    """

    bound: float
    non_inferior: bool
    p_no_worse: float
    detectable: float
    pass_if_equal: float


def is_usable(entry: object) -> bool:
    """Whether an entry of `champion.paired` can be compared: finite numbers, counts that fit each other."""
    if not isinstance(entry, Mapping) or not _is_count(entry.get("n"), least=1):
        return False
    difference, error = entry.get("difference"), entry.get("standard_error")
    if not _is_finite(difference) or not _is_finite(error) or error < 0.0:
        return False
    if entry.get("method") == "paired shares":
        wins, losses = entry.get("wins"), entry.get("losses")
        if not _is_count(wins) or not _is_count(losses) or wins + losses > entry["n"]:
            return False
        return bool(abs(difference - (wins - losses) / entry["n"]) <= _ROUNDING)
    step, support = entry.get("step"), entry.get("support")
    fits = _is_finite(step) and step >= 0.0 and _is_finite(support) and 0.0 < support <= entry["n"]
    return fits and entry.get("method") == "paired influence"


def compare(entry: Mapping[str, Any], *, margin: float, alpha: float, power: float, higher_is_better: bool) -> Compared:
    """Judge a usable entry.

    Args:
        entry: Of `champion.paired`.
        margin: Above 0, in the metric's own unit.
        alpha: One-sided level, in (0, 0.5).
        power: Of the smallest drop that is stated, in (0.5, 1).
        higher_is_better: Of the metric.
    """
    sign = 1.0 if higher_is_better else -1.0
    error = float(entry["standard_error"])
    if entry["method"] == "paired shares":
        n, wins, losses = entry["n"], entry["wins"], entry["losses"]
        bound = shares.lower_bound(n, wins, losses, alpha)
        non_inferior = shares.p_inferior(n, wins, losses, margin) <= alpha
        p_no_worse = shares.p_no_worse(n, wins, losses, margin)
        error, step = math.sqrt(max(wins + losses - (wins - losses) ** 2 / n, 0.0)) / n, 1.0 / n
    else:
        value = means.Difference(
            value=sign * entry["difference"], standard_error=error, step=entry["step"], support=entry["support"]
        )
        bound = means.lower_bound(value, alpha)
        non_inferior = bound >= -margin
        p_no_worse = means.p_no_worse(value, margin)
        step = value.step
    error = max(error, math.sqrt(margin * step))  # without a row that moved there would be no error, which is no proof
    return Compared(
        bound=sign * bound,
        non_inferior=non_inferior,
        p_no_worse=p_no_worse,
        detectable=detectable_drop(error, alpha, power),
        pass_if_equal=pass_if_equal(error, alpha, margin),
    )


def _is_finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_count(value: object, least: int = 0) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**53
