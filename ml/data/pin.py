"""Training on one snapshot instead of whatever the source holds today. Called by `mlp train` and `mlp release`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ml import problem as problems
from ml.data import snapshots, stores
from ml.data.contract import Ledger

if TYPE_CHECKING:
    from ml.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Pin:
    """The snapshot that a problem is pinned to.

    Attributes:
        sha256: Of its rows.
        rows: How many.
        left_out: Where the rows went that its files had and it has not, as the record's `data.ledger`; None if it
            holds all that its source had.
    """

    sha256: str
    rows: int
    left_out: dict[str, Any] | None


def pinned(problem: "Problem", sha256: str, folder: Path) -> "Problem":
    """The problem with its data taken from a snapshot; its content is proven here, once.

    Raises:
        DataError: `ML-DATA-012` if there is no such snapshot, or it changed.
    """
    table, meta = snapshots.load(sha256, folder)

    def load(first: str | None, last: str | None) -> pd.DataFrame:
        if problem.time is None:
            return table.copy()
        month = table[problem.time].dt.strftime("%Y-%m")
        wanted = (month >= (first or "")) & (month <= (last or "9999-12"))
        return pd.DataFrame(table[wanted]).reset_index(drop=True)

    pin = Pin(sha256=sha256, rows=len(table), left_out=meta["ledger"])
    return replace(problem, load=load, source=str(meta["source"]), pin=pin)


def current(sha256: str | None) -> "Problem":
    """The problem of this checkout, pinned if a hash is given.

    Raises:
        DataError: As of `pinned`.
    """
    problem = problems.current()
    return problem if sha256 is None else pinned(problem, sha256, stores.snapshots())


def whole(ledger: Ledger, pin: Pin | None) -> Ledger:
    """The ledger from the first source on: what the files lost before they became a snapshot is counted as well."""
    if pin is None or pin.left_out is None:
        return ledger
    earlier = pin.left_out
    rejected = _sum(earlier["rejected"], ledger.rejected)
    return Ledger(
        total=ledger.total + int(earlier["total"]) - int(earlier["accepted"]),
        accepted=ledger.accepted,
        dropped=_sum(earlier["dropped"], ledger.dropped),
        rejected=rejected,
        broken=rejected,
    )


def _sum(one: dict[str, Any], other: Any) -> dict[str, int]:
    return {code: int(one.get(code, 0)) + int(other.get(code, 0)) for code in sorted({*one, *other})}
