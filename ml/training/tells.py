"""How much of the answer one column gives away by itself. Called by `ml.training.leakage`.

Half of a sample of the training rows learns, the other half is judged, so a column of unique values tells nothing.
Kappa and R2 are 0 for a guess and 1 for the answer, whatever the classes' shares and the target's scale.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from ml.evaluation.metrics import roc_auc
from ml.problem import Problem

SAMPLE_ROWS = 20_000
MIN_ROWS = 40  # fewer cannot tell an honest column from a telling one
MAX_AUC = 0.98  # binary: no honest single column of a real problem comes near; delays give 1.0
MAX_KAPPA = 0.98  # the most telling honest column of a textbook data set reaches 0.95
MAX_R2 = 0.98  # of the target's ranks, so that no outlier decides
_LEAVES, _MIN_LEAF = 64, 5


@dataclass(frozen=True, kw_only=True)
class Tell:
    """One column (or the pattern of missing values) that tells more than it may."""

    of: str
    measure: str
    value: float
    limit: float

    def __str__(self) -> str:
        return f"{self.of} alone has {self.measure} {self.value:.3f}; at most {self.limit} may"


def tells(problem: Problem, target: NDArray[np.object_], x: NDArray[np.float32]) -> list[Tell]:
    """Columns that alone know the answer, also where the relation is not monotone, and missing values that do.

    Args:
        problem: Its kind, classes and features.
        target: Labels of the training rows, shape (n_train,).
        x: Encoded training rows, shape (n_train, n_features).
    """
    rows = _sample(len(x))
    y = _coded(problem, target)
    values = np.nan_to_num(x.astype(np.float64), nan=-3e38)  # a missing value is a value of its own: the lowest
    found = [_monotone(problem, y, values[:, i], f.name) for i, f in enumerate(problem.features)]
    if len(rows) >= MIN_ROWS:
        for index, feature in enumerate(problem.features):
            column = values[rows, index]
            if feature.kind == "category":
                column = _mean_answer(column, y[rows])
            found.append(_tree(problem, y[rows], column[:, None], f"feature {feature.name}"))
        gone = np.isnan(x[rows])
        if gone.any(axis=0).sum() > 1:
            found.append(_tree(problem, y[rows], gone.astype(float), "which values are missing"))
    first: dict[str, Tell] = {}
    for tell in found:
        if tell is not None:
            first.setdefault(tell.of, tell)
    return list(first.values())


def _sample(rows: int) -> NDArray[np.int64]:
    """Row numbers in a random order that is always the same, at most `SAMPLE_ROWS`."""
    return np.random.default_rng(0).permutation(rows)[:SAMPLE_ROWS]


def _coded(problem: Problem, target: NDArray[np.object_]) -> NDArray[np.float64]:
    """Class numbers; for regression the target's ranks in [0, 1]."""
    if problem.kind == "regression":
        return np.asarray(rankdata(target.astype(np.float64)) / max(len(target), 1))
    codes = {label: float(index) for index, label in enumerate(problem.classes)}
    return np.array([codes.get(label, -1.0) for label in target.tolist()])


def _monotone(problem: Problem, y: NDArray[np.float64], column: NDArray[np.float64], name: str) -> Tell | None:
    """Rank statistics on every row: they see what a shallow tree on a sample may miss."""
    if problem.kind == "binary":
        value = roc_auc(y == 1, column)
        return _told(f"feature {name}", "ROC AUC", value, MAX_AUC, max(value, 1 - value))
    if problem.kind == "regression" and np.ptp(column) > 0 and np.ptp(y) > 0:
        value = float(np.corrcoef(rankdata(column), y)[0, 1] ** 2)
        return _told(f"feature {name}", "squared rank correlation", value, MAX_R2, value)
    return None


def _tree(problem: Problem, y: NDArray[np.float64], columns: NDArray[np.float64], of: str) -> Tell | None:
    """Fit a shallow tree on one half and judge it on the other."""
    half = len(y) // 2
    shape = {"max_leaf_nodes": _LEAVES, "min_samples_leaf": _MIN_LEAF, "random_state": 0}
    if problem.kind == "regression":
        fitted = DecisionTreeRegressor(**shape).fit(columns[:half], y[:half])
        rest = y[half:]
        spread = float(((rest - rest.mean()) ** 2).sum())
        value = 1 - float(((rest - fitted.predict(columns[half:])) ** 2).sum()) / spread if spread else 0.0
        return _told(of, "R2", value, MAX_R2, value)
    guesses = DecisionTreeClassifier(**shape).fit(columns[:half], y[:half]).predict(columns[half:])
    value = _kappa(y[half:], guesses)
    return _told(of, "kappa", value, MAX_KAPPA, value)


def _mean_answer(codes: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each category as the commonest answer of the first half: a tree has too few leaves for a hundred codes.

    For regression the mean one. A category that the first half does not know becomes -1.
    """
    half = len(y) // 2
    answers = np.full(len(codes), -1.0)
    whole = bool((y == np.round(y)).all())
    for code in np.unique(codes[:half]):
        known = y[:half][codes[:half] == code]
        labels, counts = np.unique(known, return_counts=True)
        answers[codes == code] = labels[counts.argmax()] if whole else known.mean()
    return answers


def _kappa(truth: NDArray[np.float64], guess: NDArray[np.float64]) -> float:
    """Agreement beyond chance. Source: Cohen, "A coefficient of agreement for nominal scales", 1960."""
    labels = np.union1d(truth, guess)
    chance = sum(float((truth == label).mean() * (guess == label).mean()) for label in labels)
    return 0.0 if chance >= 1 else (float((truth == guess).mean()) - chance) / (1 - chance)


def _told(of: str, measure: str, shown: float, limit: float, value: float) -> Tell | None:
    return Tell(of=of, measure=measure, value=shown, limit=limit) if value > limit else None
