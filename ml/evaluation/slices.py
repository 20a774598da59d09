"""The same metric for parts of the test rows: a model that is good on the whole may be useless for one group.

Owns how slices are formed and measured; `ml.gate.slices` judges them. Which slices there are, the problem says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

MAX_SLICES = 30  # of one column: a record must stay readable; the rarest values are put together
REST = "(others)"
MISSING = "(missing)"


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
