"""Rules about a table as a whole: units, missing values, freshness. What breaks one stops the run. Pure.

A single row in another unit cannot be told from an odd one; a whole month can, because its median moves. Called by
`ml.data.checker` when the last row is in.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from ml.data.summary import WHOLE, Summary

MIN_ROWS = 100  # of a month; fewer say nothing about a distribution


@dataclass(frozen=True, kw_only=True)
class Typical:
    """Where the median of a column lies in its declared unit, in any month; inclusive.

    Attributes:
        low: Lowest median that the unit explains.
        high: Highest.
        unit: For the message.
        of: Which values to take the median of, where the column's own say too little: for example only the
            positive ones, or the distance from what other columns imply. Missing values are left out.
    """

    low: float
    high: float
    unit: str
    of: Callable[[pd.DataFrame], "pd.Series[float]"] | None = None


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """How old the newest row may be at the moment that the caller names. Ages count from the end of that moment."""

    max_age_days: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One rule that the whole table breaks: a stable reason code, and the sentence that names value and limit."""

    code: str
    words: str


def units(typical: Mapping[str, Typical], summary: Summary) -> Iterator[Finding]:
    """Columns whose median, in any month with enough rows, does not fit their unit."""
    if not len(summary.sample):
        return
    months = summary.months(summary.sample)
    for name, rule in typical.items():
        values = summary.sample[name] if rule.of is None else rule.of(summary.sample)
        known = pd.to_numeric(values, errors="coerce").dropna()
        groups = known.groupby(months[known.index.to_numpy()].to_numpy())
        medians = groups.median()[groups.size() >= MIN_ROWS]
        strange = medians[(medians < rule.low) | (medians > rule.high)]
        if len(strange):
            month = str(strange.index[0])
            where = f" in {month}" if month != WHOLE else ""
            more = f" (and {len(strange) - 1} more months)" if len(strange) > 1 else ""
            yield Finding(
                code=f"{name}:unit",
                words=f"median {strange.iloc[0]:.4g}{where}{more}, in {rule.unit} it lies from {rule.low:g} to "
                f"{rule.high:g}: another unit, or another column's values",
            )


def absent(limits: Mapping[str, float], summary: Summary) -> Iterator[Finding]:
    """Columns with more missing values than allowed in any month; `limits` are shares in [0, 1]."""
    for name, limit in limits.items():
        for month, rows in sorted(summary.rows.items()):
            gone = summary.missing[name].get(month, 0)
            if rows >= MIN_ROWS and gone > limit * rows:
                where = f" in {month}" if month != WHOLE else ""
                yield Finding(
                    code=f"{name}:mostly_missing",
                    words=f"{gone} of {rows} values ({gone / rows:.1%}) are missing{where}, at most {limit:.1%} may",
                )
                break


@dataclass(frozen=True, kw_only=True, slots=True)
class Age:
    """How old the newest row was when the data were asked for."""

    newest: datetime
    as_of: datetime
    limit_days: float

    @property
    def days(self) -> float:
        """From the newest row to `as_of`; negative for a row from the future."""
        return (self.as_of - self.newest).total_seconds() / 86_400

    def to_json(self) -> dict[str, object]:
        """The record's `data.freshness`: dates, and days with two decimals."""
        return {
            "newest": f"{self.newest:%Y-%m-%d}",
            "as_of": f"{self.as_of:%Y-%m-%d}",
            "age_days": round(self.days, 2),
            "limit_days": float(self.limit_days),
        }


def stale(column: str, age: Age) -> Iterator[Finding]:
    """The newest row is older than allowed."""
    if age.days > age.limit_days:
        yield Finding(
            code=f"{column}:stale",
            words=f"the newest row is of {age.newest:%Y-%m-%d %H:%M}, {age.days:.1f} days before "
            f"{age.as_of:%Y-%m-%d %H:%M}; at most {age.limit_days:g} may pass",
        )
