"""How far two models' answers differ on the same requests, without any label. Pure numpy.

A candidate may be as good as the champion and still answer many requests otherwise; whoever uses the answers notices.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.curves import rounded

ROWS = 2000
SEED = 20130601  # fixed: the same test rows give the same requests, whichever models are compared
FLIP_DEVIATIONS = 0.1  # regression: a move by more than this share of the champion's spread counts as another answer


@dataclass(frozen=True)
class Answers:
    """What a model says: predictions of shape (n_rows,), probabilities (n_rows, n_classes) or None (regression)."""

    predictions: NDArray[Any]
    probabilities: NDArray[Any] | None


def requests(n_rows: int) -> NDArray[np.intp]:
    """Which test rows are the frozen requests: a seeded sample without repetition, in order."""
    chosen = np.random.default_rng(SEED).permutation(n_rows)[:ROWS]
    return np.sort(chosen).astype(np.intp)


def prediction_diff(x: NDArray[np.float32], candidate: Answers, champion: Answers) -> Mapping[str, Any]:
    """Compare two models on the frozen requests.

    Args:
        x: Raw encoded test rows, shape (n_rows, n_features).
        candidate: Its answers for all test rows.
        champion: Its answers for the same rows.

    Returns:
        `rows` and `requests_sha256` of the frozen requests; `flip_rate`, the share that gets another answer (for
        regression: one moved by more than a tenth of the standard deviation of the champion's predictions); and
        `score_shift`, candidate minus champion: `mean`, `mean_absolute`, `p95_absolute`. The score is the probability
        of the second class (binary), the greatest change of any class's probability (multiclass: `mean` is then
        left out as null), or the prediction.
    """
    rows = requests(len(x))
    ours, theirs = candidate.predictions[rows], champion.predictions[rows]
    shift = _shift(candidate, champion, rows)
    signed = champion.probabilities is None or champion.probabilities.shape[1] == 2
    flips = ours != theirs if champion.probabilities is not None else _moved(shift, theirs.astype(np.float64))
    absolute = np.abs(shift)
    return {
        "rows": len(rows),
        "requests_sha256": hashlib.sha256(np.ascontiguousarray(x[rows], dtype="<f4").tobytes()).hexdigest(),
        "flip_rate": rounded(float(flips.mean())),
        "score_shift": {
            "mean": rounded(float(shift.mean())) if signed else None,
            "mean_absolute": rounded(float(absolute.mean())),
            "p95_absolute": rounded(float(np.quantile(absolute, 0.95))),
        },
    }


def _shift(candidate: Answers, champion: Answers, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    ours, theirs = candidate.probabilities, champion.probabilities
    if ours is None or theirs is None:
        return candidate.predictions[rows].astype(np.float64) - champion.predictions[rows].astype(np.float64)
    moved = ours[rows].astype(np.float64) - theirs[rows].astype(np.float64)
    return moved[:, 1] if moved.shape[1] == 2 else np.abs(moved).max(axis=1)


def _moved(shift: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(shift) > FLIP_DEVIATIONS * float(theirs.std())
