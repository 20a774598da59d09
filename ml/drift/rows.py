"""The rows of a problem's source as drift sees them: held against the contract, encoded, each with its month."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.checker import sort_out
from ml.drift.reference import Column, matrix_columns
from ml.errors import UsageError
from ml.problem import Problem
from ml.training.inputs import encode
from ml.training.months import following

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Encoded rows, shape (n_rows, n_features), and the month of each, shape (n_rows,)."""

    x: NDArray[np.float32]
    months: NDArray[np.str_]

    def of(self, wanted: Sequence[str]) -> "Rows":
        """The rows of these months."""
        chosen = np.isin(self.months, wanted)
        return Rows(x=self.x[chosen], months=self.months[chosen])

    def columns(self, problem: Problem) -> Mapping[str, Column]:
        """By feature name."""
        return matrix_columns(problem.features, self.x)

    def about(self, problem: Problem) -> dict[str, Any]:
        """Which rows these are, for the record."""
        known = sorted(set(self.months.tolist()))
        return {"source": problem.source, "months": known, "rows": len(self.x)}


def load(problem: Problem, first: str | None, last: str, progress: Progress) -> Rows:
    """Accepted rows of the months `first` to `last`, both inclusive.

    Raises:
        UsageError: If the problem has no time, or a month is none.
        DataError: If the table lacks columns or rows.
    """
    if problem.time is None:
        raise UsageError(
            "ML-DRIFT-007", f"problem {problem.name} has no time column: it has no months", "mlp drift check"
        )
    for month in filter(None, (first, last)):
        following(month)
    progress(f"load {problem.source}")
    table = problem.load(first, last)
    progress(f"check {len(table):,} rows against the contract")
    # Only single rows are refused here: what concerns the whole table (its age, a month of nulls) is what drift shows.
    accepted = sort_out(problem.contract, table, key=problem.key)[0].accepted
    months = accepted[problem.time].dt.strftime("%Y-%m").to_numpy(dtype=str)
    return Rows(x=encode(problem, accepted), months=months)


def refuse_none(rows: Rows, months: Sequence[str]) -> Rows:
    """The rows, of which there is at least one.

    Raises:
        UsageError: If there is none.
    """
    if not len(rows.x):
        message = f"0 rows in {', '.join(months)}: there is nothing to compare"
        raise UsageError("ML-DRIFT-008", message, "choose months that have data: mlp data validate")
    return rows
