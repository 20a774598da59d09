"""Refuse a model that was told the answer.

By columns from after the event, by columns that are the answer in disguise, by rows on both sides, or by rows from
the future.
"""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.errors import DataError
from ml.problem import Problem
from ml.training.split import Split
from ml.training.tells import tells

MAX_TWIN_SHARE = 0.01  # of the test rows, beyond what the training rows show among themselves
_DIGITS = 4  # of a number that two rows must share to be twins


def refuse(problem: Problem, parts: Split, x: NDArray[np.float32], *, as_of: datetime | None = None) -> None:
    """Check a split; all findings in one error.

    Args:
        problem: Which columns are known only afterwards, and what identifies a row.
        parts: The rows.
        x: The encoded training rows, shape (n_train, n_features).
        as_of: The moment of which the data are: nothing may be younger. None: no such rule.

    Raises:
        DataError: If anything leaks.
    """
    found = [
        *_columns(problem),
        *_shared_rows(problem, parts),
        *_twins(problem, parts),
        *_order(problem, parts),
        *_future(problem, parts, as_of),
        *map(str, tells(problem, parts.train[problem.target].to_numpy(dtype=object), x)),
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
    """Rows of one key on both sides; texts that differ in case or spaces only, and times within a minute, are one."""
    key = list(problem.key) or [*(feature.name for feature in problem.features), problem.target]
    test, train = (_blurred(side[key]).drop_duplicates() for side in (parts.test, parts.train))
    shared = test.merge(train, on=key)
    return [f"{len(shared)} test rows are training rows as well (by {', '.join(key)})"] if len(shared) else []


def _blurred(rows: pd.DataFrame) -> pd.DataFrame:
    changes = {}
    for name in rows.columns:
        column = rows[name]
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            changes[name] = column.dt.floor("min")
        elif not pd.api.types.is_numeric_dtype(column.dtype):
            changes[name] = column.astype(str).str.strip().str.casefold()
    return rows.assign(**changes)


def _twins(problem: Problem, parts: Split) -> list[str]:
    """Copies under a new key: test rows with the features and the answer of a training row, more than by chance.

    How common chance twins are, the training rows say: the newer half is held against the older one.
    """
    if not problem.key:
        return []  # then the whole row is the key, and `_shared_rows` has looked
    train, test = _fingerprints(problem, parts.train), _fingerprints(problem, parts.test)
    half = len(train) // 2
    share = float(np.isin(test, train).mean())
    expected = float(np.isin(train[half:], train[:half]).mean()) if half else 0.0
    if share - expected <= MAX_TWIN_SHARE:
        return []
    told = f"{share:.1%} of the test rows repeat a training row's features and answer under another key"
    return [f"{told}; among the training rows it is {expected:.1%}"]


def _fingerprints(problem: Problem, rows: pd.DataFrame) -> NDArray[np.uint64]:
    """A hash of each row's features and answer; numbers to four digits."""
    names = [*(feature.name for feature in problem.features), problem.target]
    changes = {name: _rounded(rows[name]) for name in names if pd.api.types.is_float_dtype(rows[name].dtype)}
    hashes = pd.util.hash_pandas_object(rows[names].assign(**changes), index=False)
    return np.asarray(hashes, dtype=np.uint64)


def _rounded(column: "pd.Series[float]") -> "pd.Series[float]":
    values = column.to_numpy(dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(values))))
        rounded = np.where(np.isfinite(size), np.round(values * size) / size, values)
    return pd.Series(rounded + 0.0, index=column.index)


def _order(problem: Problem, parts: Split) -> list[str]:
    if problem.time is None:
        return []
    newest, oldest = parts.train[problem.time].max(), parts.test[problem.time].min()
    return [] if newest < oldest else [f"test rows start at {oldest}, training rows end at {newest}"]


def _future(problem: Problem, parts: Split, as_of: datetime | None) -> list[str]:
    """Rows after the moment of which the data are; values that were taken after the row's own moment."""
    if problem.time is None or not _is_time(parts.train[problem.time]):
        return []
    found = []
    for side, rows in (("training", parts.train), ("test", parts.test)):
        late = 0 if as_of is None else int((rows[problem.time] > as_of).sum())
        if late:
            found.append(f"{late} {side} rows are from after {as_of:%Y-%m-%d %H:%M}")
        for name in rows.columns:
            if name in (problem.time, *problem.known_afterwards) or not _is_time(rows[name]):
                continue
            after = int((rows[name] > rows[problem.time]).sum())
            if after:
                found.append(f"{after} {side} rows have {name} after their own {problem.time}")
    return found


def _is_time(column: "pd.Series[Any]") -> bool:
    return pd.api.types.is_datetime64_dtype(column.dtype)
