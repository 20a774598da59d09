"""Refuse a model that was told the answer.

By columns from after the event, by rows on both sides, or by a test from before its training ends.
"""

import numpy as np
from numpy.typing import NDArray

from ml.errors import DataError
from ml.evaluation.metrics import roc_auc
from ml.problem import Problem
from ml.training.split import Split

MAX_SINGLE_FEATURE_AUC = 0.98  # no honest single column of a real problem comes near; delays give 1.0


def refuse(problem: Problem, parts: Split, x: NDArray[np.float32]) -> None:
    """Check a split; all findings in one error.

    Args:
        problem: Which columns are known only afterwards, and what identifies a row.
        parts: The rows.
        x: The encoded training rows, shape (n_train, n_features).

    Raises:
        DataError: If anything leaks.
    """
    found = [
        *_columns(problem),
        *_shared_rows(problem, parts),
        *_order(problem, parts),
        *_tell_tales(problem, parts, x),
    ]
    if found:
        raise DataError(
            "ML-TRAIN-004",
            f"the answer leaks into the model: {'; '.join(found)}",
            "take the feature out, or correct the split",
        )


def _columns(problem: Problem) -> list[str]:
    forbidden = {*problem.known_afterwards, problem.target}
    if problem.time is not None:
        forbidden.add(problem.time)
    return [f"feature {f.name} is not known before the event" for f in problem.features if f.name in forbidden]


def _shared_rows(problem: Problem, parts: Split) -> list[str]:
    key = list(problem.key) or [*(feature.name for feature in problem.features), problem.target]
    shared = parts.test[key].drop_duplicates().merge(parts.train[key].drop_duplicates(), on=key)
    return [f"{len(shared)} test rows are training rows as well (by {', '.join(key)})"] if len(shared) else []


def _order(problem: Problem, parts: Split) -> list[str]:
    if problem.time is None:
        return []
    newest, oldest = parts.train[problem.time].max(), parts.test[problem.time].min()
    return [] if newest < oldest else [f"test rows start at {oldest}, training rows end at {newest}"]


def _tell_tales(problem: Problem, parts: Split, x: NDArray[np.float32]) -> list[str]:
    if problem.kind != "binary":
        return []
    positive = parts.train[problem.target].to_numpy() == problem.classes[1]
    found = []
    for index, feature in enumerate(problem.features):
        # A missing value may tell as well (no departure time: cancelled), so it is a value of its own: the lowest.
        auc = roc_auc(positive, np.nan_to_num(x[:, index].astype(np.float64), nan=-1e300))
        if max(auc, 1 - auc) > MAX_SINGLE_FEATURE_AUC:
            found.append(f"feature {feature.name} alone has ROC AUC {auc:.3f}; at most {MAX_SINGLE_FEATURE_AUC} may")
    return found
