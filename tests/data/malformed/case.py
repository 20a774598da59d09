"""What a malformed data set is: how it comes about from real flights, and where every row of it must go."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ml.flights.problem import PROBLEM

MONTH_ROWS, RAIN_ROWS = 1000, 150
TOTAL, CANCELLED, DIVERTED = 2300, 97, 17
ACCEPTED = TOTAL - CANCELLED - DIVERTED
NEXT_MONTH = "2013-08-01"

Table = Callable[[pd.DataFrame], pd.DataFrame]


def real() -> pd.DataFrame:
    """Flights of June and July 2013, the same each time, in order of departure; enough of them in the rain."""
    year = PROBLEM.load("2013-06", "2013-07")
    month = year["departure"].dt.month
    wet = year["precip"] > 0
    parts = [year[(month == m) & ~wet].sample(MONTH_ROWS, random_state=m) for m in (6, 7)]
    parts += [year[(month == m) & wet].sample(RAIN_ROWS, random_state=m) for m in (6, 7)]
    return pd.concat(parts).sort_values([PROBLEM.time, *PROBLEM.key], ignore_index=True)


def csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False)


def as_csv(table: pd.DataFrame) -> bytes:
    return csv(table).encode()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One malformed file.

    Attributes:
        words: What is wrong, for the table in docs/data.md.
        table: Changes the real rows.
        content: Makes the file's bytes from them.
        file: Its name.
        write: Writes the file, where bytes are not enough.
        options: Of `mlp data`.
        code: The error that stops the run; None if the data pass.
        total: Rows that were read; None where the file cannot be read.
        rejected: By first reason code, exactly.
        duplicates: Dropped as repeated.
        findings: Rules of the whole table that must be named.
        same: Whether the snapshot is the one of the well-formed file.
    """

    words: str
    table: Table = lambda table: table
    content: Callable[[pd.DataFrame], bytes] = as_csv
    file: str = "flights.csv"
    write: Callable[[pd.DataFrame, Path], object] | None = None
    options: Sequence[str] = ("--as-of", NEXT_MONTH)
    code: str | None = None
    total: int | None = TOTAL
    unlabelled: tuple[int, int] = (CANCELLED, DIVERTED)
    rejected: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    findings: Sequence[str] = ()
    same: bool = False

    def make(self, folder: Path) -> Path:
        path = folder / self.file
        table = self.table(real())
        if self.write is not None:
            self.write(table, path)
        else:
            path.write_bytes(self.content(table))
        return path

    def ledger(self) -> dict[str, object]:
        """As the record would hold it."""
        dropped = {"cancelled": self.unlabelled[0], "diverted": self.unlabelled[1], "duplicate": self.duplicates}
        gone = sum(dropped.values()) + sum(self.rejected.values())
        return {
            "total": self.total,
            "accepted": (self.total or 0) - gone,
            "dropped": {code: n for code, n in dropped.items() if n},
            "rejected": dict(sorted(self.rejected.items())),
        }


def flown(table: pd.DataFrame, rows: int) -> pd.Index:
    """The first so many flights that arrived, so that nothing else keeps them out."""
    return table.index[table["status"] == "flown"][:rows]


def cells(column: str, value: object, rows: int) -> Table:
    """A value in the first rows of a column."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype({column: object})
        table.loc[flown(table, rows), column] = value
        return table

    return change


def scaled(column: str, factor: float, offset: float = 0.0) -> Table:
    """A whole column in another unit."""
    return lambda table: table.assign(**{column: table[column] * factor + offset})


def swapped(one: str, other: str) -> Table:
    return lambda table: table.rename(columns={one: other, other: one})
