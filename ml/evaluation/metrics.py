"""The metrics of a release. Pure numpy; scikit-learn is the reference in the tests.

What a metric does not mean anything for is NaN, never a guess: the gate treats NaN as a failure.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["binary", "multiclass", "regression"]


def evaluate(
    kind: Kind,
    labels: NDArray[Any],
    predictions: NDArray[Any],
    probabilities: NDArray[Any] | None,
    *,
    classes: Sequence[int | str] | None = None,
) -> dict[str, float]:
    """Every metric of a kind of problem.

    Args:
        kind: Binary scores the second class; multiclass weighs each class by its rows.
        labels: Shape (n_rows,).
        predictions: Shape (n_rows,), same type as `labels`.
        probabilities: Shape (n_rows, n_classes), in [0, 1]; None for regression.
        classes: Labels in the order of the probabilities; by default the sorted labels that occur.

    Returns:
        Metric -> value. NaN where there are no rows, or for `roc_auc` only one class.

    Raises:
        ValueError: If shapes disagree, or a label or prediction is not a class.
    """
    if len(labels) != len(predictions):
        raise ValueError(f"{len(labels)} labels and {len(predictions)} predictions: must be as many")
    if kind == "regression":
        return _regression(labels.astype(np.float64), predictions.astype(np.float64))
    if probabilities is None:
        raise ValueError(f"{kind} needs probabilities")
    known = list(dict.fromkeys(classes if classes is not None else np.unique(labels).tolist()))
    if probabilities.shape != (len(labels), len(known)):
        raise ValueError(f"probabilities {probabilities.shape}: must be {(len(labels), len(known))}")
    truth, guess = _indexes(labels, known), _indexes(predictions, known)
    chances = probabilities.astype(np.float64)
    return _binary(truth, guess, chances) if kind == "binary" else _multiclass(truth, guess, chances)


def roc_auc(positive: NDArray[np.bool_], scores: Floats) -> float:
    """Chance that a positive row scores above a negative one, ties counting half; NaN without both kinds.

    Source: the Mann-Whitney U statistic over the number of pairs (Hanley and McNeil 1982).
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative or not np.isfinite(scores).all():
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2.0
    rank_sum = float(mean_ranks[inverse][positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2.0) / (n_positive * n_negative)


def log_loss(truth: NDArray[np.intp], probabilities: Floats) -> float:
    """Mean of -log(probability of the true class), natural log; a certain miss costs 36, not infinity."""
    if not len(truth):
        return float("nan")
    tiny = np.finfo(np.float64).eps
    chosen = np.clip(probabilities[np.arange(len(truth)), truth], tiny, 1 - tiny)
    return float(-np.log(chosen).mean())


def _indexes(labels: NDArray[Any], classes: Sequence[int | str]) -> NDArray[np.intp]:
    found = np.full(len(labels), -1, dtype=np.intp)
    for index, label in enumerate(classes):
        found[labels == label] = index
    unknown = labels[found < 0]
    if len(unknown):
        raise ValueError(f"label {unknown.tolist()[0]!r}: must be one of {list(classes)}")
    return found


def _binary(truth: NDArray[np.intp], guess: NDArray[np.intp], probabilities: Floats) -> dict[str, float]:
    precision, recall, f1 = _precision_recall_f1(truth, guess, 1)
    return {
        "accuracy": _mean(truth == guess),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "roc_auc": roc_auc(truth == 1, probabilities[:, 1]),
        "log_loss": log_loss(truth, probabilities),
    }


def _multiclass(truth: NDArray[np.intp], guess: NDArray[np.intp], probabilities: Floats) -> dict[str, float]:
    def weighted(metric: Callable[[int], float]) -> float:
        present = [(int((truth == c).sum()), c) for c in range(probabilities.shape[1])]
        parts = [(rows, metric(c)) for rows, c in present if rows]
        return sum(rows * value for rows, value in parts) / len(truth) if len(truth) else float("nan")

    return {
        "accuracy": _mean(truth == guess),
        "precision": weighted(lambda c: _precision_recall_f1(truth, guess, c)[0]),
        "recall": weighted(lambda c: _precision_recall_f1(truth, guess, c)[1]),
        "f1": weighted(lambda c: _precision_recall_f1(truth, guess, c)[2]),
        "roc_auc": weighted(lambda c: roc_auc(truth == c, probabilities[:, c])),
        "log_loss": log_loss(truth, probabilities),
    }


def _precision_recall_f1(truth: NDArray[np.intp], guess: NDArray[np.intp], wanted: int) -> tuple[float, float, float]:
    """0 where nothing was predicted (or nothing is there): a model that never says yes earns no credit."""
    if not len(truth):
        return float("nan"), float("nan"), float("nan")
    hits = int(((truth == wanted) & (guess == wanted)).sum())
    predicted, actual = int((guess == wanted).sum()), int((truth == wanted).sum())
    precision = hits / predicted if predicted else 0.0
    recall = hits / actual if actual else 0.0
    return precision, recall, 2 * hits / (predicted + actual) if predicted + actual else 0.0


def _regression(truth: Floats, guess: Floats) -> dict[str, float]:
    if not len(truth):
        return dict.fromkeys(("rmse", "mae", "r2"), float("nan"))
    errors = guess - truth
    spread = float(((truth - truth.mean()) ** 2).sum())
    return {
        "rmse": float(np.sqrt((errors**2).mean())),
        "mae": float(np.abs(errors).mean()),
        "r2": 1.0 - float((errors**2).sum()) / spread if spread else float("nan"),
    }


def _mean(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else float("nan")
