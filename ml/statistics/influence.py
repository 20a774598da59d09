"""How much each row contributes to each metric: the first-order influence values that intervals and tests rest on.

Pure numpy. A metric that is a smooth function of means is, up to terms that vanish faster, its estimate plus the mean
of such values; so their spread gives its standard error, and the spread of two models' differences that of a paired
comparison. Estimates equal those of `ml.evaluation.metrics`, which the tests hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.metrics import Kind, evaluate

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Influence:
    """One metric of one model on some rows.

    Attributes:
        estimate: The metric; NaN where it means nothing.
        values: Shape (n_rows,), mean zero, in the metric's unit; all NaN where the estimate has no spread to speak of.
        support: Rows that the metric is a share of, for an interval at its very edge; NaN where it is no share.
    """

    estimate: float
    values: Floats
    support: float = float("nan")


def influence(
    kind: Kind,
    labels: NDArray[Any],
    predictions: NDArray[Any],
    probabilities: NDArray[Any] | None,
    *,
    classes: Sequence[int | str] | None = None,
) -> dict[str, Influence]:
    """Every metric of a kind of problem, with the arguments and errors of `ml.evaluation.metrics.evaluate`.

    Source: delta method (van der Vaart 1998, chapter 3); for `roc_auc` the placement values of DeLong et al. (1988).
    """
    estimates = evaluate(kind, labels, predictions, probabilities, classes=classes)
    if kind == "regression":
        found = _regression(labels.astype(np.float64), predictions.astype(np.float64))
    else:
        known = np.asarray(list(dict.fromkeys(classes if classes is not None else np.unique(labels).tolist())))
        # One class after the other in memory: sums over the few classes of a row are several times quicker so.
        chances = np.asarray(probabilities, dtype=np.float64, order="F")
        truth = (known[:, None] == labels[None, :]).T
        guess = (known[:, None] == predictions[None, :]).T
        found = _binary(truth, guess, chances) if kind == "binary" else _multiclass(truth, guess, chances)
    return {
        name: Influence(estimate=value, values=found[name].values, support=found[name].support)
        for name, value in estimates.items()
    }


def placements(positive: Bools, scores: Floats) -> tuple[Floats, Floats]:
    """Share of negatives below each positive, and of positives above each negative; ties count half.

    Args:
        positive: Shape (n_rows,), with both kinds.
        scores: Shape (n_rows,), finite.
    """
    return _share_below(scores[positive], scores[~positive]), 1.0 - _share_below(scores[~positive], scores[positive])


def _share_below(scores: Floats, others: Floats) -> Floats:
    """Looked up in ascending order, which finds the next place right beside the last: several times quicker."""
    order, known = np.argsort(scores), np.sort(others)
    asked = scores[order]
    twice = np.searchsorted(known, asked, "left") + np.searchsorted(known, asked, "right")
    shares = np.empty(len(scores))
    shares[order] = twice / (2.0 * len(known))
    return shares


def _binary(truth: Bools, guess: Bools, chances: Floats) -> dict[str, Influence]:
    if truth.shape[1] != 2:
        return _multiclass(truth, guess, chances)
    yes, said = truth[:, 1], guess[:, 1]
    return {
        "accuracy": _mean(np.asarray((truth & guess).any(axis=1))),
        "precision": _ratio(yes & said, said),
        "recall": _ratio(yes & said, yes),
        "f1": _ratio(2.0 * (yes & said), yes.astype(np.float64) + said, half=True),
        "roc_auc": _auc(yes, chances[:, 1]),
        "log_loss": _log_loss(truth, chances),
    }


def _multiclass(truth: Bools, guess: Bools, chances: Floats) -> dict[str, Influence]:
    present = [column for column in range(truth.shape[1]) if truth[:, column].any()]

    def weighted(parts: list[Influence]) -> Influence:
        """Sum of share times metric: the shares are estimated from the same rows, so they vary as well."""
        values = np.zeros(len(truth))
        total = 0.0
        for column, part in zip(present, parts, strict=True):
            share = float(truth[:, column].mean())
            values += part.estimate * (truth[:, column] - share) + share * part.values
            total += share * part.estimate
        return Influence(estimate=total, values=values, support=float(len(truth)))

    return {
        "accuracy": _mean(np.asarray((truth & guess).any(axis=1))),
        "precision": weighted([_ratio(truth[:, c] & guess[:, c], guess[:, c], empty=0.0) for c in present]),
        "recall": weighted([_ratio(truth[:, c] & guess[:, c], truth[:, c]) for c in present]),
        "f1": weighted([_ratio(2.0 * (truth[:, c] & guess[:, c]), 1.0 * truth[:, c] + guess[:, c]) for c in present]),
        "roc_auc": weighted([_auc(truth[:, c], chances[:, c]) for c in present]),
        "log_loss": _log_loss(truth, chances),
    }


def _regression(truth: Floats, guess: Floats) -> dict[str, Influence]:
    if not len(truth):
        return dict.fromkeys(("rmse", "mae", "r2"), Influence(estimate=float("nan"), values=truth))
    squares, spreads = (guess - truth) ** 2, (truth - truth.mean()) ** 2
    mse, variance = squares.mean(), spreads.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        root = (squares - mse) / (2.0 * np.sqrt(mse))
        share = (-(squares - mse) + mse / variance * (spreads - variance)) / variance
    return {
        "rmse": Influence(estimate=float(np.sqrt(mse)), values=root),
        "mae": _mean(np.abs(guess - truth)),
        "r2": Influence(estimate=float(1.0 - mse / variance) if variance else float("nan"), values=share),
    }


def _mean(values: NDArray[Any]) -> Influence:
    each = values.astype(np.float64)
    mean = float(each.mean()) if len(each) else float("nan")
    return Influence(estimate=mean, values=each - mean, support=float(len(each)))


def _ratio(over: NDArray[Any], under: NDArray[Any], *, half: bool = False, empty: float = float("nan")) -> Influence:
    """The sum of `over` as a share of the sum of `under`; `empty` are the values where there is nothing to share."""
    above, below = over.astype(np.float64), under.astype(np.float64)
    total = float(below.sum())
    if not total:
        return Influence(estimate=0.0, values=np.full(len(below), empty))
    share = float(above.sum()) / total
    support = total / 2.0 if half else total
    return Influence(estimate=share, values=(above - share * below) * len(below) / total, support=support)


def _auc(positive: Bools, scores: Floats) -> Influence:
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    values = np.full(len(positive), np.nan)
    if min(n_positive, n_negative) < 2 or not np.isfinite(scores).all():
        return Influence(estimate=float("nan"), values=values)
    of_positive, of_negative = placements(positive, scores)
    estimate = float(of_positive.mean())
    for chosen, placed in ((positive, of_positive), (~positive, of_negative)):
        rows = len(placed)
        unbiased = np.sqrt(rows / (rows - 1.0))  # DeLong divides each side's squares by its rows less one
        values[chosen] = (placed - estimate) * (len(positive) / rows) * unbiased
    return Influence(estimate=estimate, values=values, support=float(min(n_positive, n_negative)))


def _log_loss(truth: Bools, chances: Floats) -> Influence:
    tiny = np.finfo(np.float64).eps
    chosen = np.clip(np.where(truth, chances, 0.0).sum(axis=1), tiny, 1 - tiny)
    loss = _mean(-np.log(chosen))
    return Influence(estimate=loss.estimate, values=loss.values)
