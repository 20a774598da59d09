"""What a table looks like as a whole, gathered chunk by chunk in bounded memory.

Counts are exact. Medians and pictures come from a sample of `SAMPLE_ROWS` rows, chosen by the hash of a row's
position: the same table gives the same sample however it was cut into chunks, and a small table is its own sample.
Called by the contract's systemic rules and by `mlp data profile`.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SAMPLE_ROWS = 20_000
WHOLE = ""  # the name of "all months" where a table has no time


class Summary:
    """Rows, missing values and ranges by column and month, and a sample of whole rows.

    Args:
        columns: The columns to look at; others are ignored.
        time: Column with the moment of a row; without it everything counts under the month `WHOLE`.
    """

    def __init__(self, columns: Sequence[str], time: str | None) -> None:
        self._columns = list(columns)
        self._time = time
        self._position = 0
        self._ranks: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self.sample = pd.DataFrame()
        self.rows: dict[str, int] = defaultdict(int)  # by month
        self.missing: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))  # column -> month -> rows
        self.ranges: dict[str, tuple[float, float]] = {}  # numeric column -> lowest, highest
        self.newest: pd.Timestamp | None = None

    def feed(self, table: pd.DataFrame) -> None:
        """Take in the next rows."""
        if table.empty:
            return
        table = table[self._columns]
        months = self.months(table)
        for month, rows in months.value_counts().items():
            self.rows[str(month)] += int(rows)
        for name in self._columns:
            gone = table[name].isna()
            if gone.any():
                for month, rows in months[gone].value_counts().items():
                    self.missing[name][str(month)] += int(rows)
            self._widen(name, table[name])
        if self._time is not None and self._is_time(table):
            newest = table[self._time].max()
            if not pd.isna(newest):
                self.newest = newest if self.newest is None else max(self.newest, newest)
        self._draw(table)

    @property
    def total(self) -> int:
        """All rows taken in."""
        return sum(self.rows.values())

    def missing_share(self, column: str) -> float:
        """Of all rows, in [0, 1]; 0 without rows."""
        return sum(self.missing[column].values()) / self.total if self.total else 0.0

    def months(self, table: pd.DataFrame) -> "pd.Series[str]":
        """The month of each row, such as `2013-06`."""
        if self._time is None or not self._is_time(table):
            return pd.Series(WHOLE, index=table.index, dtype=str)
        codes, uniques = pd.factorize(table[self._time].to_numpy().astype("datetime64[M]"))
        names = np.append(np.datetime_as_string(uniques, unit="M"), WHOLE).astype(object)  # -1, no time, is the last
        return pd.Series(names[codes], index=table.index, dtype=str)

    def _is_time(self, table: pd.DataFrame) -> bool:
        return pd.api.types.is_datetime64_dtype(table[self._time].dtype)

    def _widen(self, name: str, column: "pd.Series[float]") -> None:
        if not pd.api.types.is_numeric_dtype(column.dtype) or not column.notna().any():
            return
        low, high = float(column.min()), float(column.max())
        earlier = self.ranges.get(name, (low, high))
        self.ranges[name] = (min(low, earlier[0]), max(high, earlier[1]))

    def _draw(self, table: pd.DataFrame) -> None:
        """Keep the rows whose positions have the smallest hashes."""
        ranks = _mixed(np.arange(self._position, self._position + len(table), dtype=np.uint64))
        self._position += len(table)
        chosen = (
            np.flatnonzero(ranks <= self._ranks.max()) if len(self._ranks) == SAMPLE_ROWS else np.arange(len(ranks))
        )
        if len(chosen) > SAMPLE_ROWS:
            chosen = np.sort(np.argpartition(ranks, SAMPLE_ROWS)[:SAMPLE_ROWS])
        self._ranks = np.concatenate([self._ranks, ranks[chosen]])
        drawn = table.iloc[chosen]
        self.sample = drawn if self.sample.empty else pd.concat([self.sample, drawn])
        if len(self._ranks) > SAMPLE_ROWS:
            kept = np.sort(np.argpartition(self._ranks, SAMPLE_ROWS)[:SAMPLE_ROWS])
            self._ranks, self.sample = self._ranks[kept], self.sample.iloc[kept]


def _mixed(positions: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer. Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014."""
    with np.errstate(over="ignore"):
        z = (positions + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
