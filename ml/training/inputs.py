"""From a problem to the matrices that train and judge a model: load, check, split, encode, refuse leaks."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.data import pin, snapshots, stores
from ml.data.checker import Outcome, Sorted, sort_out
from ml.data.contract import Ledger
from ml.data.ingest import Post, rows_of
from ml.data.letters import DeadLetters
from ml.data.schema import encode_columns
from ml.data.systemic import Age
from ml.errors import DataError
from ml.problem import Problem
from ml.training import leakage, months, prepared, split

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Rows and matrices; the x are raw encoded rows, before the transform."""

    parts: split.Split
    ledger: Ledger
    age: Age | None  # None where the contract has no rule about age
    snapshot_sha256: str
    snapshot_rows: int
    train_x: NDArray[np.float32]
    train_labels: NDArray[Any]
    test_x: NDArray[np.float32]
    test_labels: NDArray[Any]

    def stored(self) -> dict[str, Any] | None:
        """What the snapshot store holds now: the record's `data.snapshot`, None if the snapshot is gone or damaged."""
        found = snapshots.stored_sha256(self.snapshot_sha256, stores.snapshots())
        return None if found is None else {"sha256": found, "rows": self.snapshot_rows}


def prepare(problem: Problem, through: str | None, *, seed: int, progress: Progress) -> Inputs:
    """Everything before the fit. The table that was read is in the snapshot store before anything is made of it.

    Raises:
        DataError: If the data break the contract, do not suffice or leak the answer.
        UsageError: If `through` is no month or missing.
    """
    first, last = split.bounds(problem, through)
    progress(f"load {problem.source}")
    table = problem.load(first, last)
    if problem.pin is None:
        sha256, rows = snapshots.write(table, stores.snapshots(), source=problem.source)[0], len(table)
    else:
        sha256, rows = problem.pin.sha256, problem.pin.rows
    entry, kept = prepared.name(problem, sha256, through, seed), prepared.cache()
    found = kept.get(entry)
    if found is not None:
        progress("reuse the prepared rows of the same data and code")
        return Inputs(**prepared.decode(found))
    # As of the end of the month that judges: what a training at that time would have seen.
    as_of = None if last is None else months.end(last)
    accepted, outcome = _checked(problem, table, as_of, progress)
    parts = split.split(problem, accepted, through=through, seed=seed)
    train_x, test_x = (encode(problem, side) for side in (parts.train, parts.test))
    train_labels, test_labels = (labels(problem, side) for side in (parts.train, parts.test))
    progress("check for leaks")
    leakage.refuse(problem, parts, train_x, as_of=as_of)
    made = Inputs(
        parts=parts,
        ledger=pin.whole(outcome.ledger, problem.pin),
        age=outcome.age,
        snapshot_sha256=sha256,
        snapshot_rows=rows,
        train_x=train_x,
        train_labels=train_labels,
        test_x=test_x,
        test_labels=test_labels,
    )
    kept.put(entry, prepared.encode(made))
    return made


def _checked(
    problem: Problem, table: pd.DataFrame, as_of: datetime | None, progress: Progress
) -> tuple[pd.DataFrame, Outcome]:
    progress(f"check {len(table):,} rows against the contract")
    found, outcome = sort_out(problem.contract, table, key=problem.key, as_of=as_of)
    _keep_rejected(problem, found, outcome)
    outcome.refuse(problem.contract)
    return found.accepted, outcome


def _keep_rejected(problem: Problem, found: Sorted, outcome: Outcome) -> None:
    """Rejected rows go to the dead letters before anything else happens to the data."""
    if len(found.rejected):
        post = Post(DeadLetters(stores.dead_letters(problem.name)), datetime.now(UTC))
        post.take(problem.source, rows_of(found, first=1))
        post.deliver(systemic=outcome.systemic(problem.contract))


def encode(problem: Problem, rows: pd.DataFrame) -> NDArray[np.float32]:
    """Raw encoded rows, shape (n_rows, n_features)."""
    return encode_columns(problem.features, {f.name: rows[f.name].tolist() for f in problem.features})


def labels(problem: Problem, rows: pd.DataFrame) -> NDArray[Any]:
    """The labels with the classes' own type, shape (n_rows,); floats for regression.

    Raises:
        DataError: If a label is not a class.
    """
    column = rows[problem.target]
    if problem.kind == "regression":
        return column.to_numpy(dtype=np.float64)
    known = np.asarray(problem.classes)
    strange = column[~column.isin(problem.classes)]
    if len(strange):
        raise DataError(
            "ML-TRAIN-008",
            f"{problem.target}={strange.iloc[0]!r} in {len(strange)} rows: must be one of {list(problem.classes)}",
            "correct the source, or the problem's classes",
        )
    return column.to_numpy().astype(known.dtype)
