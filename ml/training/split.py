"""Which rows train a model and which judge it. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml.errors import DataError, UsageError
from ml.problem import Problem
from ml.training import months

TEST_SHARE = 0.2  # of each class, for problems without time


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows to train on and, never seen by the training, rows to judge on."""

    train: pd.DataFrame
    test: pd.DataFrame


def bounds(problem: Problem, through: str | None) -> tuple[str | None, str | None]:
    """The first and last month to load: everything to the month after `through`, which judges.

    Raises:
        UsageError: If a problem with time got no month, or one without got one.
    """
    if (problem.time is None) != (through is None):
        rule = "has no time column, so takes no month" if problem.time is None else "needs the last month to train on"
        raise UsageError("ML-TRAIN-002", f"through={through!r}: problem {problem.name} {rule}", "mlp train --help")
    return None, None if through is None else months.following(through)


def split(problem: Problem, accepted: pd.DataFrame, *, through: str | None, seed: int) -> Split:
    """Train on all months to `through` and judge on the next one; without time, a seeded, stratified fifth judges.

    Raises:
        DataError: If either side has no rows.
    """
    if problem.time is not None and through is not None:
        month = accepted[problem.time].dt.strftime("%Y-%m")
        in_train, in_test = month <= through, month == months.following(through)
    else:
        in_test = _stratified(problem, accepted, seed)
        in_train = ~in_test
    parts = Split(train=_rows(accepted, in_train), test=_rows(accepted, in_test))
    for side, rows in (("train", parts.train), ("test", parts.test)):
        if rows.empty:
            raise DataError(
                "ML-TRAIN-003",
                f"0 rows to {side} on for through={through!r}; at least 1 is needed",
                "choose a month that has data, and a month after it",
            )
    return parts


def _rows(table: pd.DataFrame, wanted: "pd.Series[bool]") -> pd.DataFrame:
    return table[wanted].reset_index(drop=True)


def _stratified(problem: Problem, table: pd.DataFrame, seed: int) -> "pd.Series[bool]":
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(table), dtype=bool)
    for rows in _strata(problem, table):
        chosen[rng.permutation(rows)[: round(len(rows) * TEST_SHARE)]] = True
    return pd.Series(chosen, index=table.index, dtype=bool)


def _strata(problem: Problem, table: pd.DataFrame) -> list[Any]:
    if problem.kind == "regression":
        return [np.arange(len(table))]
    return [np.flatnonzero(table[problem.target].to_numpy() == label) for label in problem.classes]
