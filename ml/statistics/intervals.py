"""Confidence intervals of every metric, from one set of rows. Pure numpy.

An interval stays in the metric's range. What has no spread that could be estimated has NaN as its interval, never a
guess; a share that is exactly 0 or 1 does have one (Wilson's).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.metrics import Kind
from ml.statistics.influence import Influence, influence

_SHARES = frozenset({"accuracy", "precision", "recall", "f1", "roc_auc"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A two-sided interval, in the metric's own unit; NaN where it cannot be said."""

    estimate: float
    low: float
    high: float
    standard_error: float


def intervals(  # noqa: PLR0913  (what `evaluate` takes, and how sure)
    kind: Kind,
    labels: NDArray[Any],
    predictions: NDArray[Any],
    probabilities: NDArray[Any] | None,
    *,
    classes: Sequence[int | str] | None = None,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Every metric of a kind of problem with its interval.

    Args:
        kind: Binary, multiclass or regression.
        labels: Shape (n_rows,), independent rows.
        predictions: Shape (n_rows,).
        probabilities: Shape (n_rows, n_classes), in [0, 1]; None for regression.
        classes: Labels in the order of the probabilities; by default the sorted labels that occur.
        confidence: Two-sided, in (0, 1).

    Raises:
        ValueError: If shapes disagree, or a label or prediction is not a class.
    """
    found = influence(kind, labels, predictions, probabilities, classes=classes)
    return {name: interval(name, each, confidence) for name, each in found.items()}


def interval(name: str, each: Influence, confidence: float = 0.95) -> Interval:
    """The interval of one metric.

    Source: shares by Wilson (1927) with the rows that give the standard error (for a plain share these are its rows);
    losses on the log scale; `r2` on the log scale of what it leaves unexplained.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    error = standard_error(each.values)
    if name in _SHARES:
        low, high = _wilson(each.estimate, _effective_rows(each, error), z)
    elif name == "r2":
        high, low = (1.0 - bound for bound in _log_scale(1.0 - each.estimate, error, z))
    else:
        low, high = _log_scale(each.estimate, error, z)
    return Interval(estimate=each.estimate, low=low, high=high, standard_error=error)


def standard_error(values: NDArray[np.float64]) -> float:
    """Of the mean of independent influence values; NaN for fewer than two rows, or where one is NaN."""
    rows = len(values)
    return float(values.std(ddof=1) / math.sqrt(rows)) if rows > 1 else float("nan")


def _effective_rows(each: Influence, error: float) -> float:
    """Rows of a plain share that has this standard error; at 0 and 1, which have none, the rows it is a share of."""
    spread = each.estimate * (1.0 - each.estimate)
    return each.support if error == 0.0 or spread == 0.0 else spread / error**2


def _wilson(share: float, rows: float, z: float) -> tuple[float, float]:
    if not rows > 0.0 or math.isnan(share):
        return float("nan"), float("nan")
    centre = share + z * z / (2.0 * rows)
    half = z * math.sqrt(share * (1.0 - share) / rows + z * z / (4.0 * rows * rows))
    scale = 1.0 + z * z / rows
    # A rounding error must not push an estimate of exactly 0 or 1 out of its own interval.
    return max(0.0, min(share, (centre - half) / scale)), min(1.0, max(share, (centre + half) / scale))


def _log_scale(value: float, error: float, z: float) -> tuple[float, float]:
    if not value > 0.0 or not error > 0.0:
        return float("nan"), float("nan")
    factor = math.exp(min(z * error / value, 700.0))
    return value / factor, value * factor
