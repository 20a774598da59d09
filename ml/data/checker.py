"""Applies a contract to a table, whole or in chunks: each row is accepted, dropped or rejected, and counted once.

Memory is bounded by a chunk, the sample of `ml.data.summary` and 8 bytes a row for the keys seen so far.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray
from pandera.errors import SchemaErrors

from ml.data import systemic
from ml.data.contract import Contract, Ledger, refuse_absent, refuse_systemic
from ml.data.summary import Summary
from ml.data.systemic import Age, Finding
from ml.errors import DataError

FUTURE = "from_the_future"
_NO_CODES = pd.Series(dtype=str)


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """One chunk, sorted out. Indexes are those of the chunk."""

    accepted: pd.DataFrame
    rejected: pd.DataFrame
    codes: "pd.Series[str]"  # of the rejected rows: every reason code, sorted, joined by a comma


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was found in the whole table."""

    ledger: Ledger
    findings: tuple[Finding, ...]
    age: Age | None
    summary: Summary

    def systemic(self, contract: Contract) -> bool:
        """Whether the table itself is at fault."""
        return bool(self.findings) or self.ledger.rejected_share > contract.max_rejected_share

    def refuse(self, contract: Contract) -> None:
        """Raise if the table itself is at fault."""
        refuse_systemic(contract, self.ledger, self.findings)


class Checker:
    """Sorts the rows of one table.

    Args:
        contract: The rules.
        key: Columns that identify a row; the second of two such rows is dropped. Empty: equal in every column.
        as_of: The moment of which the data are to be: rows after it are rejected, and freshness counts from it. In
            the contract's time zone, naive. None: no rule about age.
    """

    def __init__(self, contract: Contract, *, key: Sequence[str] = (), as_of: datetime | None = None) -> None:
        self._contract = contract
        self._key = list(key)
        self._as_of = as_of
        self._seen = _Seen()
        self._counts = {"total": 0, "accepted": 0}
        self._dropped = Counter[str]({**dict.fromkeys(contract.drops, 0), "duplicate": 0})
        self._rejected = Counter[str]()
        self._broken = Counter[str]()
        self._whole: dict[str, Finding] = {}
        self.summary = Summary(list(contract.schema.columns), contract.time)

    def feed(self, table: pd.DataFrame, *, more: bool = True) -> Sorted:
        """Sort the next rows out.

        Args:
            table: Shape (n_rows, any) with an index of unique row numbers.
            more: False promises that no chunk follows, which saves remembering the keys.

        Raises:
            DataError: If the table lacks a column.
        """
        refuse_absent(self._contract, list(table.columns), self._key)
        self._counts["total"] += len(table)
        rest = self._drop(table, more=more)
        self.summary.feed(rest)
        reasons = self._reasons(rest)
        codes = _NO_CODES
        if len(reasons):
            reasons = reasons.sort_values(["row", "code"])
            self._broken.update(reasons["code"])
            self._rejected.update(reasons.groupby("row")["code"].first())
            codes = reasons.groupby("row")["code"].agg(",".join)
        accepted = rest.drop(index=codes.index)
        self._counts["accepted"] += len(accepted)
        return Sorted(accepted=accepted, rejected=rest.loc[codes.index], codes=codes)

    def reject(self, codes: Sequence[str]) -> None:
        """Count a row that did not even become a typed one: a ragged line, a cell that is no number."""
        self._counts["total"] += 1
        self._rejected[min(codes)] += 1
        self._broken.update(set(codes))

    def finish(self) -> Outcome:
        """The ledger and every rule that the whole table breaks.

        Raises:
            DataError: If there was no row at all.
        """
        if self._counts["total"] == 0:
            raise DataError("ML-DATA-002", "the table has 0 rows; at least 1 is needed", "choose months that have data")
        age = self._age()
        findings = [
            *self._whole.values(),
            *systemic.absent(self._contract.missing_limits(), self.summary),
            *systemic.units(self._contract.typical, self.summary),
            *([] if age is None else systemic.stale(str(self._contract.time), age)),
        ]
        ledger = Ledger(
            **self._counts,
            dropped=dict(self._dropped),
            rejected=dict(sorted(self._rejected.items())),
            broken=dict(sorted(self._broken.items())),
        )
        return Outcome(ledger=ledger, findings=tuple(findings), age=age, summary=self.summary)

    def _drop(self, table: pd.DataFrame, *, more: bool) -> pd.DataFrame:
        rest = table
        for code, mask in self._contract.drops.items():
            gone = mask(rest)
            self._dropped[code] += int(gone.sum())
            rest = rest[~gone]
        again = rest.duplicated(subset=self._key or None).to_numpy(copy=True)
        if more or self._seen:
            keys = rest[self._key or list(rest.columns)]
            again |= self._seen.add(pd.util.hash_pandas_object(keys, index=False))
        self._dropped["duplicate"] += int(again.sum())
        return rest[~again] if again.any() else rest

    def _reasons(self, rest: pd.DataFrame) -> pd.DataFrame:
        """Each broken rule of each row once: columns `row` (of the index) and `code`."""
        cases = _failure_cases(self._contract.schema, rest)
        untyped = cases[cases["code"].str.endswith(":wrong_type") & cases["row"].notna()]
        if len(untyped):
            # A text among numbers breaks the range check of the whole column, so the others are checked without it.
            others = _failure_cases(self._contract.schema, rest.drop(index=untyped["row"].unique().tolist()))
            cases = pd.concat([untyped, others])
        for code in sorted(cases.loc[cases["row"].isna(), "code"].unique()):
            self._whole[code] = Finding(code=code, words="no row of the column can be used")
        late = self._late(rest)
        cases = pd.concat([cases[cases["row"].notna()], late]) if len(late) else cases[cases["row"].notna()]
        return cases.drop_duplicates()

    def _late(self, rest: pd.DataFrame) -> pd.DataFrame:
        time = self._contract.time
        if self._as_of is None or time is None or not pd.api.types.is_datetime64_dtype(rest[time].dtype):
            return pd.DataFrame()
        rows = rest.index[(rest[time] > self._as_of).to_numpy()]
        return pd.DataFrame({"row": rows, "code": f"{time}:{FUTURE}"})

    def _age(self) -> Age | None:
        rule, newest = self._contract.freshness, self.summary.newest
        if rule is None or self._as_of is None or newest is None:
            return None
        # A row from the future was rejected; it must not make the others look fresh.
        return Age(newest=min(newest.to_pydatetime(), self._as_of), as_of=self._as_of, limit_days=rule.max_age_days)


def check(
    contract: Contract, table: pd.DataFrame, *, key: Sequence[str] = (), as_of: datetime | None = None
) -> tuple[pd.DataFrame, Ledger]:
    """`sort_out`, then `refuse_systemic`.

    Raises:
        DataError: If the table lacks a column, is empty or is at fault as a whole.
    """
    found, outcome = sort_out(contract, table, key=key, as_of=as_of)
    outcome.refuse(contract)
    return found.accepted, outcome.ledger


def sort_out(
    contract: Contract, table: pd.DataFrame, *, key: Sequence[str] = (), as_of: datetime | None = None
) -> tuple[Sorted, Outcome]:
    """Split a table by its contract, however many rows break it.

    Args:
        contract: The rules.
        table: Shape (n_rows, any); its index is ignored.
        key: As of `Checker`.
        as_of: As of `Checker`.

    Returns:
        The accepted rows in order with a fresh index, converted to the contract's types, and the rejected ones;
        then the ledger and what the table breaks as a whole.

    Raises:
        DataError: If the table is empty or lacks a column.
    """
    checker = Checker(contract, key=key, as_of=as_of)
    found = checker.feed(table.reset_index(drop=True), more=False)
    outcome = checker.finish()
    accepted = found.accepted.reset_index(drop=True)
    if not outcome.findings:
        accepted = contract.schema.validate(accepted)  # once more: proves the rest clean, and converts its types
    return Sorted(accepted=accepted, rejected=found.rejected, codes=found.codes), outcome


class _Seen:
    """Hashes of the keys so far, in sorted runs of doubling length: 8 bytes a row, few and cheap merges.

    Two keys of a table of 10 million rows share a 64-bit hash with a probability of 3e-6.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []

    def __bool__(self) -> bool:
        return bool(self._runs)

    def add(self, hashes: "pd.Series[int]") -> NDArray[np.bool_]:
        """Remember them; True for each that was there before this call."""
        values = np.asarray(hashes, dtype=np.uint64)
        order = np.argsort(values)
        values = values[order]  # sorted needles walk through a run in one direction, which caches like
        known = np.zeros(len(values), dtype=bool)
        for run in self._runs:
            place = np.minimum(np.searchsorted(run, values), len(run) - 1)
            known[order] |= run[place] == values
        if len(values):
            self._runs.append(values)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            # Two sorted halves: merged in one pass. np.union1d would build a hash table of several times their size.
            both = np.concatenate([self._runs.pop(), self._runs.pop()])
            both.sort(kind="stable")
            self._runs.append(both)
        return known


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
