"""A data contract: which rows may train or judge a model, and a ledger that accounts for every other one.

A row is dropped (it has no label or repeats another), rejected (it breaks a rule) or accepted; the three add up to
the rows that came in. Called by training and by `mlp data validate`; `ml.data.checker` applies it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import pandera.pandas as pa

from ml.data.schema import Feature
from ml.data.systemic import Finding, Freshness, Typical
from ml.errors import DataError

SHOWN = 10  # rules listed in a message before "+N more"

Mask = Callable[[pd.DataFrame], "pd.Series[bool]"]


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Rules for the rows of one table, and for the table as a whole.

    Attributes:
        schema: Types, ranges, nullability and, as named table checks, rules across columns.
        drops: Reason code -> which rows are no use for training though nothing is wrong with them (no label).
        max_rejected_share: Above this share of the remaining rows the table itself is at fault, and the run stops.
        time: Column with the moment of a row: makes whole-table rules hold for each month, and freshness possible.
        zone: Name of the time zone that times without one are in, such as `America/New_York`; times with an offset
            are converted to it. None refuses times with an offset.
        typical: Where a column's median lies in its declared unit; another unit moves it.
        max_missing_share: Of a nullable column, in any month; `missing` has what differs, by column.
        freshness: How old the newest row may be. None: any age.
    """

    schema: pa.DataFrameSchema
    drops: Mapping[str, Mask] = field(default_factory=dict)
    max_rejected_share: float = 0.01
    time: str | None = None
    zone: str | None = None
    typical: Mapping[str, Typical] = field(default_factory=dict)
    max_missing_share: float = 0.5
    missing: Mapping[str, float] = field(default_factory=dict)
    freshness: Freshness | None = None

    def missing_limits(self) -> dict[str, float]:
        """Nullable column -> largest share of missing values in a month."""
        nullable = (name for name, column in self.schema.columns.items() if column.nullable)
        return {name: self.missing.get(name, self.max_missing_share) for name in nullable}


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Where every row of a table went. `accepted + sum(dropped) + sum(rejected) == total`, or it cannot be made."""

    total: int
    accepted: int
    dropped: Mapping[str, int]
    rejected: Mapping[str, int]  # by the first of a row's reason codes in sorted order
    broken: Mapping[str, int]  # rule -> rows that break it; a row may break several

    def __post_init__(self) -> None:
        told = self.accepted + sum(self.dropped.values()) + sum(self.rejected.values())
        if told != self.total:
            raise DataError(
                "ML-DATA-010",
                f"{self.accepted} accepted, {sum(self.dropped.values())} dropped and {sum(self.rejected.values())} "
                f"rejected rows make {told}, not the {self.total} that came in",
                "this is a defect of the pipeline: report it with this line",
            )

    @property
    def rejected_share(self) -> float:
        """Rejected rows among those that were not dropped, in [0, 1]; 0 for none."""
        checked = self.total - sum(self.dropped.values())
        return sum(self.rejected.values()) / checked if checked else 0.0

    @property
    def left_out(self) -> dict[str, int]:
        """Every row that was not accepted, by reason; reasons that no row has are left out."""
        return {code: n for code, n in sorted({**self.dropped, **self.rejected}.items()) if n}

    def to_json(self) -> dict[str, object]:
        """The record's `data.ledger`; reasons that no row has are left out."""
        some = [{code: n for code, n in sorted(part.items()) if n} for part in (self.dropped, self.rejected)]
        return {"total": self.total, "accepted": self.accepted, "dropped": some[0], "rejected": some[1]}


def number(feature: Feature) -> pa.Column:
    """The column of a numeric feature: same range and nullability as for a request."""
    checks = []
    if feature.minimum is not None:
        checks.append(pa.Check.ge(feature.minimum, error="below_minimum"))
    if feature.maximum is not None:
        checks.append(pa.Check.le(feature.maximum, error="above_maximum"))
    if feature.minimum is None or feature.maximum is None:
        checks.append(pa.Check(_finite, error="not_finite"))
    return pa.Column(float, checks, nullable=feature.nullable, coerce=True)


def _finite(values: "pd.Series[float]") -> "pd.Series[bool]":
    return values.abs() < float("inf")


def category(feature: Feature) -> pa.Column:
    """The column of a categorical feature: a declared category."""
    return pa.Column(str, pa.Check.isin(feature.categories, error="unknown_category"), nullable=feature.nullable)


def columns(features: Sequence[Feature]) -> dict[str, pa.Column]:
    """The columns of all features, under the rules that requests are checked against."""
    return {feature.name: number(feature) if feature.kind == "number" else category(feature) for feature in features}


def across(code: str, holds: Mask) -> pa.Check:
    """A rule across columns with a stable reason code; true for the rows that keep it."""
    return pa.Check(holds, error=code, ignore_na=False)


def refuse_absent(contract: Contract, found: Sequence[str], key: Sequence[str]) -> None:
    """Stop before the first row if columns are missing; all are named at once.

    Raises:
        DataError: If a column of the contract, the key or the time is not there.
    """
    time = () if contract.time is None else (contract.time,)
    missing = sorted({*contract.schema.columns, *key, *time} - set(found))
    if missing:
        raise DataError(
            "ML-DATA-001",
            f"the table lacks the columns {_listed(missing, SHOWN)}",
            "correct the source, or the contract if the column is gone for good",
        )


def refuse_systemic(contract: Contract, ledger: Ledger, findings: Sequence[Finding] = ()) -> None:
    """Stop if the table itself is at fault; everything found is in the one message.

    Raises:
        DataError: If a rule about the whole table is broken, or more than `max_rejected_share` of the rows that were
            not dropped are rejected.
    """
    words = [f"{finding.code} ({finding.words})" for finding in findings]
    code = "ML-DATA-003"
    if ledger.rejected_share > contract.max_rejected_share:
        code = code if findings else "ML-DATA-004"
        worst = sorted(ledger.broken.items(), key=lambda item: (-item[1], item[0]))
        words.append(
            f"{sum(ledger.rejected.values())} rows ({ledger.rejected_share:.2%}) break the contract; at most "
            f"{contract.max_rejected_share:.2%} may: {_listed([f'{rule} ({n} rows)' for rule, n in worst], SHOWN)}"
        )
    if words:
        head = "the whole table breaks " if findings else ""
        raise DataError(code, head + "; ".join(words), "correct the source; `mlp data validate` prints the ledger")


def _listed(words: Sequence[str], shown: int) -> str:
    return ", ".join(words[:shown]) + (f", +{len(words) - shown} more" if len(words) > shown else "")
