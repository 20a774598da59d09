"""The shapes that a report draws: ROC and precision-recall curves, confusion, histograms, residuals. Pure numpy.

None of it decides anything, and none of it stands in the record, which has to stay small; `ml.evaluation.document`
writes it to `evaluation.json` beside the record.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_POINTS = 100
MAX_CLASSES = 10  # curves of more classes than that are one tangle; the most frequent are kept
HISTOGRAM_BINS = 20
RESIDUAL_LEVELS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_DIGITS = 6


def roc(positive: NDArray[np.bool_], scores: Floats) -> dict[str, Any] | None:
    """The ROC curve from (0, 0) to (1, 1), one point a distinct score, thinned.

    Args:
        positive: Shape (n_rows,).
        scores: Shape (n_rows,), greater means more likely positive.

    Returns:
        `points` ([false positive rate, true positive rate]), `area` (ties count half) and `max_error`; None where
        only one of the two kinds of rows is there.
    """
    hits, misses = _cumulated(positive, scores)
    if not hits[-1] or not misses[-1]:
        return None
    x, y = misses / misses[-1], hits / hits[-1]
    return _curve(x, y, area=float(np.trapezoid(y, x)))


def precision_recall(positive: NDArray[np.bool_], scores: Floats) -> dict[str, Any] | None:
    """The precision over the recall, one point a distinct score, thinned.

    Returns:
        `points` ([recall, precision]), `area` (average precision: each step of recall times the precision there, as
        scikit-learn defines it) and `max_error`; None without a positive row.
    """
    hits, misses = _cumulated(positive, scores)
    if not hits[-1]:
        return None
    recall = hits / hits[-1]
    # At the start nothing is predicted and precision means nothing; the curve begins as at its first real point.
    with np.errstate(invalid="ignore"):
        precision = hits / (hits + misses)
    precision[0] = precision[1]
    return _curve(recall, precision, area=float((np.diff(recall) * precision[1:]).sum()))


def thin(x: Floats, y: Floats, most: int = MAX_POINTS) -> tuple[NDArray[np.intp], float]:
    """Which points to keep so that the line through them stays closest to all of them.

    Source: Douglas and Peucker (1973), refined worst piece first until `most` points are kept.

    Args:
        x: Shape (n_points,); the curve's order is the arrays'.
        y: Shape (n_points,).
        most: At least 2.

    Returns:
        Indexes to keep, in order, and the greatest distance of a point left out from the line, in the unit of x and y.
    """
    kept = [0, len(x) - 1]
    pieces = [_farthest(x, y, 0, len(x) - 1)]
    while len(kept) < most and pieces:
        worst = max(range(len(pieces)), key=lambda index: pieces[index][0])
        distance, at, start, stop = pieces[worst]
        if distance == 0.0:
            break
        pieces[worst : worst + 1] = [_farthest(x, y, start, at), _farthest(x, y, at, stop)]
        kept.append(at)
    error = max((piece[0] for piece in pieces), default=0.0)
    return np.unique(np.asarray(kept, dtype=np.intp)), error


def confusion(labels: NDArray[Any], predictions: NDArray[Any], classes: Sequence[int | str]) -> dict[str, Any]:
    """`labels` and `counts`; a row of `counts` is a true class, a column a predicted one."""
    index = {label: position for position, label in enumerate(classes)}
    cells = np.asarray(
        [index[a] * len(classes) + index[b] for a, b in zip(labels.tolist(), predictions.tolist(), strict=True)]
    )
    counts = np.bincount(cells.astype(np.intp), minlength=len(classes) ** 2).reshape(len(classes), len(classes))
    return {"labels": list(classes), "counts": counts.tolist()}


def histogram(
    values: Floats, groups: NDArray[Any], names: Sequence[str], limits: tuple[float, float]
) -> dict[str, Any]:
    """Equal bins between two limits, counted for each group.

    Args:
        values: Shape (n_rows,).
        groups: Shape (n_rows,): the index in `names` of each row's group.
        names: Of the groups.
        limits: The first and the last edge.

    Returns:
        `edges` (one more than bins) and `counts` (group -> rows per bin).
    """
    edges = np.linspace(*limits, HISTOGRAM_BINS + 1)
    counts = {name: np.histogram(values[groups == index], edges)[0].tolist() for index, name in enumerate(names)}
    return {"edges": [rounded(edge) for edge in edges], "counts": counts}


def residuals(labels: Floats, predictions: Floats) -> dict[str, Any]:
    """`quantiles` ([level, prediction minus label]) and a `histogram` of the middle 98 %."""
    errors = predictions - labels
    quantiles = np.quantile(errors, RESIDUAL_LEVELS)
    low, high = float(np.quantile(errors, 0.01)), float(np.quantile(errors, 0.99))
    limits = (low, high) if high > low else (low - 0.5, low + 0.5)
    return {
        "quantiles": [[level, rounded(value)] for level, value in zip(RESIDUAL_LEVELS, quantiles, strict=True)],
        "histogram": histogram(errors, np.zeros(len(errors), dtype=int), ["rows"], limits),
    }


def rounded(value: float) -> float:
    """Six significant digits: no more than anybody can see, and the same text on every machine."""
    return float(f"{float(value):.{_DIGITS}g}")


def _cumulated(positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """True and false positives when everything down to each distinct score is predicted; both begin with 0."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores, sorted_positive = scores[order], positive[order]
    last_of_its_score = np.r_[np.flatnonzero(np.diff(sorted_scores)), len(scores) - 1]
    hits = np.cumsum(sorted_positive)[last_of_its_score].astype(np.float64)
    return np.r_[0.0, hits], np.r_[0.0, last_of_its_score + 1 - hits]


def _curve(x: Floats, y: Floats, *, area: float) -> dict[str, Any]:
    kept, error = thin(x, y)
    points = [[rounded(x[index]), rounded(y[index])] for index in kept]
    return {"points": points, "area": rounded(area), "max_error": rounded(error)}


def _farthest(x: Floats, y: Floats, start: int, stop: int) -> tuple[float, int, int, int]:
    """The inner point farthest from the line between two points: (distance, its index, start, stop)."""
    if stop - start < 2:
        return 0.0, start, start, stop
    dx, dy = x[stop] - x[start], y[stop] - y[start]
    across, along = x[start + 1 : stop] - x[start], y[start + 1 : stop] - y[start]
    length = float(np.hypot(dx, dy))
    distances = np.abs(across * dy - along * dx) / length if length else np.hypot(across, along)
    best = int(distances.argmax())
    return float(distances[best]), start + 1 + best, start, stop
