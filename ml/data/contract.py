"""A data contract: which rows may train or judge a model, and a ledger that accounts for every other one.

A row is dropped (it has no label or repeats another), rejected (it breaks a rule) or accepted; the three add up to
the rows that came in. Called by training and by `mlp data validate`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from ml.data.schema import Feature
from ml.errors import DataError

_SHOWN = 10  # rules listed in a message before "+N more"

Mask = Callable[[pd.DataFrame], "pd.Series[bool]"]


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Rules for the rows of one table.

    Attributes:
        schema: Types, ranges, nullability and, as named table checks, rules across columns.
        drops: Reason code -> which rows are no use for training though nothing is wrong with them (no label).
        max_rejected_share: Above this share of the remaining rows the table itself is at fault, and the run stops.
    """

    schema: pa.DataFrameSchema
    drops: Mapping[str, Mask] = field(default_factory=dict)
    max_rejected_share: float = 0.01


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Where every row of a table went. `accepted + sum(dropped) + sum(rejected) == total`."""

    total: int
    accepted: int
    dropped: Mapping[str, int]
    rejected: Mapping[str, int]  # by the first of a row's reason codes in sorted order
    broken: Mapping[str, int]  # rule -> rows that break it; a row may break several

    @property
    def rejected_share(self) -> float:
        """Rejected rows among those that were not dropped, in [0, 1]; 0 for none."""
        checked = self.total - sum(self.dropped.values())
        return sum(self.rejected.values()) / checked if checked else 0.0

    @property
    def left_out(self) -> dict[str, int]:
        """Every row that was not accepted, by reason; reasons that no row has are left out."""
        return {code: n for code, n in sorted({**self.dropped, **self.rejected}.items()) if n}


def number(feature: Feature) -> pa.Column:
    """The column of a numeric feature: same range and nullability as for a request."""
    checks = []
    if feature.minimum is not None:
        checks.append(pa.Check.ge(feature.minimum, error="below_minimum"))
    if feature.maximum is not None:
        checks.append(pa.Check.le(feature.maximum, error="above_maximum"))
    return pa.Column(float, checks, nullable=feature.nullable, coerce=True)


def category(feature: Feature) -> pa.Column:
    """The column of a categorical feature: a declared category."""
    return pa.Column(str, pa.Check.isin(feature.categories, error="unknown_category"), nullable=feature.nullable)


def columns(features: Sequence[Feature]) -> dict[str, pa.Column]:
    """The columns of all features, under the rules that requests are checked against."""
    return {feature.name: number(feature) if feature.kind == "number" else category(feature) for feature in features}


def across(code: str, holds: Mask) -> pa.Check:
    """A rule across columns with a stable reason code; true for the rows that keep it."""
    return pa.Check(holds, error=code, ignore_na=False)


def check(contract: Contract, table: pd.DataFrame, *, key: Sequence[str] = ()) -> tuple[pd.DataFrame, Ledger]:
    """`sort_out`, then `refuse_systemic`: what training calls."""
    accepted, ledger = sort_out(contract, table, key=key)
    refuse_systemic(contract, ledger)
    return accepted, ledger


def sort_out(contract: Contract, table: pd.DataFrame, *, key: Sequence[str] = ()) -> tuple[pd.DataFrame, Ledger]:
    """Split a table by its contract, however many rows break it.

    Args:
        contract: The rules.
        table: Shape (n_rows, any); its index is ignored.
        key: Columns that identify a row; the second of two such rows is dropped. Empty: equal in every column.

    Returns:
        The accepted rows, in order, and the ledger.

    Raises:
        DataError: If the table is empty, lacks a column or breaks a rule as a whole.
    """
    rest = table.reset_index(drop=True)
    _refuse_structure(contract, rest, key)
    dropped: dict[str, int] = {}
    for code, mask in {**contract.drops, "duplicate": _repeats(key)}.items():
        gone = mask(rest)
        dropped[code] = int(gone.sum())
        rest = rest[~gone].reset_index(drop=True)
    reasons = _broken_rules(contract.schema, rest)
    first = reasons.groupby("row")["code"].min() if len(reasons) else pd.Series(dtype=str)
    accepted = rest.drop(index=first.index).reset_index(drop=True)
    ledger = Ledger(
        total=len(table),
        accepted=len(accepted),
        dropped=dropped,
        rejected={str(code): int(n) for code, n in first.value_counts().sort_index().items()},
        broken={str(code): int(n) for code, n in reasons["code"].value_counts().sort_index().items()},
    )
    return contract.schema.validate(accepted), ledger  # once more: proves the rest clean, and converts its types


def _repeats(key: Sequence[str]) -> Mask:
    return lambda table: table.duplicated(subset=list(key) or None)


def _refuse_structure(contract: Contract, table: pd.DataFrame, key: Sequence[str]) -> None:
    missing = sorted({*contract.schema.columns, *key} - set(table.columns))
    if missing:
        more = f" (+{len(missing) - _SHOWN} more)" if len(missing) > _SHOWN else ""
        raise DataError(
            "ML-DATA-001",
            f"the table lacks the columns {', '.join(missing[:_SHOWN])}{more}",
            "correct the source, or the contract if the column is gone for good",
        )
    if table.empty:
        raise DataError("ML-DATA-002", "the table has 0 rows; at least 1 is needed", "choose months that have data")


def _broken_rules(schema: pa.DataFrameSchema, table: pd.DataFrame) -> pd.DataFrame:
    """Each broken rule of each row once: columns `row` and `code`."""
    cases = _failure_cases(schema, table)
    untyped = cases[cases["code"].str.endswith(":wrong_type") & cases["row"].notna()]
    if len(untyped):
        # A text among numbers breaks the range check of the whole column, so the others are checked without it.
        others = _failure_cases(schema, table.drop(index=untyped["row"].astype(int).unique().tolist()))
        cases = pd.concat([untyped, others])
    nowhere = sorted(cases.loc[cases["row"].isna(), "code"].unique())
    if nowhere:
        raise DataError("ML-DATA-003", f"the whole table breaks {', '.join(nowhere[:_SHOWN])}", "correct the source")
    return cases.astype({"row": int}).drop_duplicates().reset_index(drop=True)


def _failure_cases(schema: pa.DataFrameSchema, table: pd.DataFrame) -> pd.DataFrame:
    """Columns `row` (NaN where a rule broke for the whole column) and `code`."""
    try:
        schema.validate(table, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return pd.DataFrame({"row": pd.Series(dtype=float), "code": pd.Series(dtype=str)})
    rules = cases[["schema_context", "column", "check"]].astype(str)
    codes = {rule: _code(*rule) for rule in rules.drop_duplicates().itertuples(index=False, name=None)}
    named = [codes[rule] for rule in rules.itertuples(index=False, name=None)]
    return pd.DataFrame({"row": pd.to_numeric(cases["index"]), "code": pd.Series(named, index=cases.index, dtype=str)})


def _code(context: str, column: str, rule: str) -> str:
    """Stable reason code: our own check names, and pandera's for what it finds by itself."""
    name = rule.partition("(")[0]
    name = {"not_nullable": "missing", "coerce_dtype": "wrong_type", "dtype": "wrong_type"}.get(name, name)
    return name if context == "DataFrameSchema" else f"{column}:{name}"


def refuse_systemic(contract: Contract, ledger: Ledger) -> None:
    """Stop if so many rows are bad that the table itself is at fault.

    Raises:
        DataError: If more than `max_rejected_share` of the rows that were not dropped are rejected.
    """
    if ledger.rejected_share <= contract.max_rejected_share:
        return
    worst = sorted(ledger.broken.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{code} ({n} rows)" for code, n in worst[:_SHOWN])
    more = f", +{len(worst) - _SHOWN} more" if len(worst) > _SHOWN else ""
    raise DataError(
        "ML-DATA-004",
        f"{sum(ledger.rejected.values())} rows ({ledger.rejected_share:.2%}) break the contract; at most "
        f"{contract.max_rejected_share:.2%} may: {listed}{more}",
        "correct the source; `mlp data validate` prints the ledger",
    )
