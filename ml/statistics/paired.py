"""The comparison of two models on the same rows, as the few numbers of a record that the gate decides by. Pure numpy.

Copies of a row say nothing new, so each distinct row counts once: a test set that was doubled decides no more.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.difference import Answers
from ml.evaluation.metrics import Kind
from ml.statistics.influence import Influence, influence
from ml.statistics.intervals import standard_error

SHARES = "paired shares"
INFLUENCE = "paired influence"


def first_copies(features: NDArray[np.float32], labels: NDArray[Any]) -> NDArray[np.intp]:
    """The index of each distinct row, in order: rows are copies when every feature and the label are the same bits.

    Args:
        features: Raw encoded rows, shape (n_rows, n_features); NaN where missing.
        labels: Shape (n_rows,).
    """
    _, codes = np.unique(labels, return_inverse=True)
    table = np.column_stack([np.asarray(features, dtype=np.float64), codes.astype(np.float64)])
    table = np.where(np.isnan(table), np.nan, table + 0.0)  # one NaN and one zero, whatever their bits were
    rows = np.ascontiguousarray(table).view(np.dtype((np.void, table.dtype.itemsize * table.shape[1]))).ravel()
    _, first = np.unique(rows, return_index=True)
    return np.sort(first)


def paired(
    kind: Kind,
    labels: NDArray[Any],
    candidate: Answers,
    champion: Answers,
    *,
    classes: Sequence[int | str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Every metric of a kind of problem: candidate minus champion in the metric's own unit.

    Args:
        kind: Binary, multiclass or regression.
        labels: Shape (n_rows,), of distinct rows.
        candidate: Its answers for these rows.
        champion: Its answers for the same rows.
        classes: Labels in the order of the probabilities.

    Returns:
        Metric -> `n` rows, `difference`, `standard_error` (NaN where there is none) and `method`: with "paired
        shares" also `wins` and `losses`, rows that only the candidate or only the champion has right; with "paired
        influence" also `step` and `support` of `ml.statistics.means.Difference`.

    Raises:
        ValueError: If shapes disagree, or a label or prediction is not a class.
    """
    ours = influence(kind, labels, candidate.predictions, candidate.probabilities, classes=classes)
    theirs = influence(kind, labels, champion.predictions, champion.probabilities, classes=classes)
    found = {name: _by_influence(ours[name], theirs[name]) for name in ours}
    if kind == "regression":
        return found
    hits = (candidate.predictions == labels, champion.predictions == labels)
    every = np.ones(len(labels), dtype=bool)
    found["accuracy"] = _by_share(ours["accuracy"], theirs["accuracy"], hits, every)
    # The weighted recall of many classes is the accuracy; that of two is the share of the second that is found.
    asked = every if kind == "multiclass" else labels == (classes if classes is not None else np.unique(labels))[-1]
    found["recall"] = _by_share(ours["recall"], theirs["recall"], hits, np.asarray(asked))
    return found


def _by_share(
    ours: Influence, theirs: Influence, hits: tuple[NDArray[np.bool_], NDArray[np.bool_]], asked: NDArray[np.bool_]
) -> dict[str, Any]:
    """Shares of the rows in `asked`: exact counts, so that the test holds its level for few rows as well."""
    return {
        "n": int(asked.sum()),
        "wins": int((hits[0] & ~hits[1] & asked).sum()),
        "losses": int((~hits[0] & hits[1] & asked).sum()),
        "difference": ours.estimate - theirs.estimate,
        "standard_error": standard_error(ours.values - theirs.values),
        "method": SHARES,
    }


def _by_influence(ours: Influence, theirs: Influence) -> dict[str, Any]:
    values, rows = ours.values - theirs.values, len(ours.values)
    support = (ours.support + theirs.support) / 2.0
    moved = float(np.abs(values).max()) / rows if rows else float("nan")
    share = not math.isnan(support)
    return {
        "n": rows,
        "difference": ours.estimate - theirs.estimate,
        "standard_error": standard_error(values),
        # Where no row moved a share, one more row still would have, by about one in as many as there are.
        "step": max(moved, 1.0 / support) if share and support > 0.0 else moved,
        "support": support if share else float(rows),
        "method": INFLUENCE,
    }
