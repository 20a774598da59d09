"""The same metric for parts of the test rows: a model that is good on the whole may be useless for one group.

Owns how slices are formed and measured; `ml.gate.rules.slices` judges them. Which slices there are, the problem says.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import ConfigError
from ml.evaluation.difference import Answers
from ml.evaluation.metrics import Kind
from ml.statistics.influence import Influence, influence
from ml.statistics.intervals import interval, standard_error

if TYPE_CHECKING:
    import pandas as pd

MAX_SLICES = 30  # of one column: a record must stay readable; the rarest values are put together
REST = "(others)"
MISSING = "(missing)"
_METRICS = {
    "classification": ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss"),
    "regression": ("mae", "rmse", "r2"),
}


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One group of the test rows."""

    column: str
    value: str
    rows: NDArray[np.intp]


def of(slices: Mapping[str, Any], table: "pd.DataFrame") -> list[Slice]:
    """Cut the test rows, once for each of the problem's slices.

    Args:
        slices: Name -> a column of the table, or a function of the table that returns one value a row.
        table: The accepted test rows with all columns of the source.

    Returns:
        By column in the given order, in it by value. The values are text. Rows without a value are a slice of their
        own; of more than `MAX_SLICES` values the rarest are one.

    Raises:
        ConfigError: If there is no such column, or a function does not return a value for each row.
    """
    return [part for name, by in slices.items() for part in _cut(name, _values(name, by, table))]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the test rows really are.

    Attributes:
        labels: Shape (n_rows,).
        classes: In the order of the probabilities; empty for regression.
        metric: The one that slices are compared by.
    """

    kind: Kind
    labels: NDArray[Any]
    classes: Sequence[int | str]
    metric: str


def metric_of(kind: Kind, chosen: str | None) -> str:
    """The metric that slices are compared by: the problem's choice, else a plain mean over rows.

    Raises:
        ConfigError: If the kind of problem has no such metric.
    """
    known = _METRICS["regression" if kind == "regression" else "classification"]
    if chosen is not None and chosen not in known:
        message = f"slice_metric={chosen!r}: a {kind} problem has {', '.join(known)}"
        raise ConfigError("ML-EVAL-003", message, "correct `slice_metric` of the problem")
    return chosen or known[0]


def section(slices: Sequence[Slice], truth: Truth, answers: Answers, confidence: float) -> dict[str, Any]:
    """The record's `evaluation.slices`.

    A slice whose metric means nothing (the ROC AUC of rows of one class) has null as its estimate; one whose spread
    is unknown has null as its interval.
    """
    columns: dict[str, list[dict[str, Any]]] = {}
    for part in slices:
        found = interval(truth.metric, _influence(truth, part, answers), confidence)
        numbers = {"estimate": found.estimate, "low": found.low, "high": found.high}
        known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        columns.setdefault(part.column, []).append({"value": part.value, "rows": len(part.rows), **known})
    return {"metric": truth.metric, "columns": columns}


def compared(slices: Sequence[Slice], truth: Truth, candidate: Answers, champion: Answers) -> dict[str, Any]:
    """The record's `champion.slices`: `difference`, candidate minus champion in the metric's unit, on the same rows.

    With the `standard_error` of the difference; null where there is none.
    """
    columns: dict[str, list[dict[str, Any]]] = {}
    for part in slices:
        ours, theirs = (_influence(truth, part, answers) for answers in (candidate, champion))
        of_rows = ours.values - theirs.values  # noqa: PD011  (an array, no table)
        numbers = {"difference": ours.estimate - theirs.estimate, "standard_error": standard_error(of_rows)}
        known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        columns.setdefault(part.column, []).append({"value": part.value, "rows": len(part.rows), **known})
    return {"metric": truth.metric, "columns": columns}


def _influence(truth: Truth, part: Slice, answers: Answers) -> Influence:
    chances = answers.probabilities
    every = influence(
        truth.kind,
        truth.labels[part.rows],
        answers.predictions[part.rows],
        None if chances is None else chances[part.rows],
        classes=truth.classes or None,
    )
    return every[truth.metric]


def _values(name: str, by: Any, table: "pd.DataFrame") -> NDArray[Any]:
    if isinstance(by, str):
        if by not in table.columns:
            listed = ", ".join(map(str, table.columns[:20]))
            raise _wrong(name, f"there is no column {by!r}; the table has: {listed}")
        column: Any = table[by]
    else:
        column = by(table)
    if np.shape(column) != (len(table),):
        raise _wrong(name, f"the function returned shape {np.shape(column)} for {len(table)} rows")
    import pandas as pd  # noqa: PLC0415  (this module is imported where pandas is not)

    series = pd.Series(np.asarray(column, dtype=object))
    text: NDArray[Any] = series.map(_text).to_numpy(dtype=object)
    text[series.isna().to_numpy()] = MISSING
    return text


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _cut(name: str, values: NDArray[Any]) -> list[Slice]:
    found, inverse, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    ranked = np.argsort(-counts, kind="stable")
    # One place is for the rest, so that there are never more than the limit.
    kept = sorted(ranked if len(found) <= MAX_SLICES else ranked[: MAX_SLICES - 1])
    parts = [Slice(column=name, value=str(found[i]), rows=np.flatnonzero(inverse == i)) for i in kept]
    rest = np.flatnonzero(~np.isin(inverse, kept))
    return [*parts, Slice(column=name, value=REST, rows=rest)] if len(rest) else parts


def _wrong(name: str, reason: str) -> ConfigError:
    return ConfigError("ML-EVAL-001", f"slice {name!r}: {reason}", "correct `slices` of the problem")
