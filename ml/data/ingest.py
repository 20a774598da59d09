"""A user's files, from the first byte to the ledger: read, check, hand on what is accepted, keep what is rejected.

Called by `mlp data validate`, `snapshot` and `profile`; what training reads from a problem's own source goes through
`kept` as well.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pandas as pd

from ml.data.checker import Checker, Outcome, Sorted
from ml.data.letters import MAX_MIB, DeadLetters, Letter, letter
from ml.data.read import BadRow, Dialect, read
from ml.problem import Problem

SYSTEMIC_LETTERS = 100  # of a table that is itself at fault: examples, they must not push out other evidence
MAX_BUFFERED = 100_000  # letters; older ones of the same run are dropped and counted
MAX_BUFFERED_BYTES = int(MAX_MIB * 2**20)  # the store would not keep more of one run

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to read, and how."""

    files: Sequence[Path]
    dialect: Dialect = field(default_factory=Dialect)
    as_of: datetime | None = None


def ingest(
    problem: Problem,
    order: Order,
    post: "Post",
    *,
    accept: Callable[[pd.DataFrame], None] = lambda _rows: None,
    progress: Progress = lambda _rows: None,
) -> Outcome:
    """Read files as one table, chunk by chunk.

    Args:
        problem: Its contract and key.
        order: Which files.
        post: Takes the rejected rows; nothing is kept before its `deliver`.
        accept: Is handed the accepted rows of each chunk.
        progress: Told the rows done so far.

    Raises:
        DataError: If a file cannot be read, or has no rows. A table that is at fault as a whole is not raised here.
    """
    checker = Checker(problem.contract, key=problem.key, as_of=order.as_of)
    done = 0
    for path in order.files:
        for chunk in read(path, problem.contract, problem.key, order.dialect):
            for bad in chunk.bad:
                checker.reject(bad.codes)
            found = checker.feed(chunk.table)
            post.take(path.name, chunk.bad, raw=True, zone=order.dialect.zone)
            post.take(path.name, rows_of(found))
            accept(found.accepted)
            done += len(chunk.table) + len(chunk.bad)
            progress(done)
    return checker.finish()


def rows_of(found: Sorted, first: int = 0) -> Iterable[BadRow]:
    """The rejected rows with their causes; `first` is added to their index to make the row number."""
    for index, row in zip(found.rejected.index, found.rejected.to_dict("records"), strict=True):
        cells = {str(name): None if pd.isna(value) else value for name, value in row.items()}
        yield BadRow(number=int(index) + first, codes=tuple(found.codes[index].split(",")), cells=cells)


class Post:
    """Collects the letters of one run and delivers them to the store at its end.

    Args:
        store: Where to; None only counts.
        now: The moment of the run.
    """

    def __init__(self, store: DeadLetters | None, now: datetime) -> None:
        self._store = store
        self._now = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._letters: deque[tuple[int, Letter]] = deque()
        self._bytes = 0
        self.taken = 0

    def take(self, source: str, rows: Iterable[BadRow], *, raw: bool = False, zone: str | None = None) -> None:
        """Write the letters of some rejected rows; `raw` and `zone` as of `Letter`."""
        for row in rows:
            self.taken += 1
            if self._store is not None:
                first = letter(source, row.number, row.codes, row.cells, self._now)
                self._buffer(msgspec.structs.replace(first, raw=raw, zone=zone))

    def _buffer(self, new: Letter) -> None:
        size = len(msgspec.json.encode(new))
        self._letters.append((size, new))
        self._bytes += size
        while len(self._letters) > MAX_BUFFERED or self._bytes > MAX_BUFFERED_BYTES:
            self._bytes -= self._letters.popleft()[0]

    def deliver(self, *, systemic: bool) -> int:
        """Put them into the store; of a table at fault only the first examples. Returns how many.

        Raises:
            DataError: If the store cannot take them.
        """
        if self._store is None:
            return 0
        kept = [each for _, each in self._letters][: SYSTEMIC_LETTERS if systemic else None]
        self._store.add(kept, dropped=self.taken - len(kept))
        return len(kept)
