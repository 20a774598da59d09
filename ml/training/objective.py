"""What one trial measures: the estimator with its parameters, fitted and judged on the folds of the training rows.

The same code in process, in a local worker and in a pod. It sees training rows only: `Material` holds nothing else.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ml.data.transform import resolve
from ml.evaluation.metrics import log_loss
from ml.problem import Problem
from ml.training import folds
from ml.training.inputs import Inputs

Report = Callable[[int, float], None]
"""Told after each fold: its number from 0 and the mean over the folds so far. May raise to end the trial."""


def metric(problem: Problem) -> str:
    """What the search minimises: a proper score, so that it needs no threshold."""
    return "rmse" if problem.kind == "regression" else "log_loss"


@dataclass(frozen=True, kw_only=True)
class Material:
    """The training rows of a search, after the transform."""

    columns: NDArray[np.float32]
    labels: NDArray[Any]
    folds: tuple[folds.Fold, ...]

    def sha256(self) -> str:
        """Content hash: two workers of one study must have the same rows in the same folds."""
        digest = hashlib.sha256()
        for part in (self.columns, self.labels, *(side for fold in self.folds for side in (fold.train, fold.judge))):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


def material(problem: Problem, inputs: Inputs, *, seed: int) -> Material:
    """The training rows and their folds; the month that judges the release is not among them."""
    if problem.time is not None:
        found = folds.by_time(inputs.parts.train[problem.time])
    else:
        found = folds.without_time(inputs.train_labels, seed=seed, stratified=problem.kind != "regression")
    columns = resolve(problem.transform)(inputs.train_x)
    return Material(columns=columns, labels=inputs.train_labels, folds=tuple(found))


def save(rows: Material, path: Path) -> None:
    """Write the rows for local workers, in one step."""
    arrays = {"columns": rows.columns, "labels": rows.labels}
    for number, fold in enumerate(rows.folds):
        arrays |= {f"train_{number}": fold.train, f"judge_{number}": fold.judge}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stubs take the names for its own options
    part.replace(path)


def read(path: Path) -> Material:
    """What `save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        count = sum(name.startswith("train_") for name in arrays.files)
        found = [folds.Fold(train=arrays[f"train_{n}"], judge=arrays[f"judge_{n}"]) for n in range(count)]
        return Material(columns=arrays["columns"], labels=arrays["labels"], folds=tuple(found))


def evaluate(problem: Problem, rows: Material, parameters: Mapping[str, Any], *, seed: int, report: Report) -> float:
    """Mean over the folds, lower is better. One thread and one seed: the same value wherever it is computed."""
    values: list[float] = []
    for number, fold in enumerate(rows.folds):
        estimator = problem.estimator(seed, **parameters)
        with threadpool_limits(limits=1):
            estimator.fit(rows.columns[fold.train], rows.labels[fold.train])
            values.append(_judge(problem, estimator, rows.columns[fold.judge], rows.labels[fold.judge]))
        report(number, float(np.mean(values)))
    return float(np.mean(values))


def _judge(problem: Problem, estimator: Any, columns: NDArray[np.float32], labels: NDArray[Any]) -> float:
    if problem.kind == "regression":
        errors = np.asarray(estimator.predict(columns), dtype=np.float64) - labels
        return float(np.sqrt((errors**2).mean()))
    chances = np.zeros((len(labels), len(problem.classes)))
    place = {label: index for index, label in enumerate(problem.classes)}
    # An early fold may lack a rare class: it then has no probability there, and the score says so.
    chances[:, [place[label] for label in estimator.classes_.tolist()]] = estimator.predict_proba(columns)
    truth = np.asarray([place[label] for label in labels.tolist()], dtype=np.intp)
    return log_loss(truth, chances)
