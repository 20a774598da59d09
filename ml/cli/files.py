"""What the commands of `mlp data` share: a user's files or the problem's source, read, checked and kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ml.cli.display import steps
from ml.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from ml.data.checker import Outcome
    from ml.data.ingest import Order
    from ml.problem import Problem

COUNTED = 1_000_000  # rows between two words about the progress


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A snapshot that was made: its hash, its file, how many rows of what."""

    name: str
    path: Path
    rows: int
    source: str


def order(files: Sequence[Path], as_of: str | None, encoding: str, delimiter: str | None, zone: str | None) -> "Order":
    """What to read, and how, from a command's options.

    Raises:
        UsageError: Naming every option that means nothing.
    """
    from ml.data.ingest import Order  # noqa: PLC0415  (imports that `--help` does not need)
    from ml.data.read import Dialect, dialect_problems  # noqa: PLC0415

    dialect = Dialect(encoding=encoding, delimiter=delimiter, zone=zone)
    wrong = dialect_problems(dialect)
    moment = None
    try:
        moment = None if as_of is None else datetime.fromisoformat(as_of).replace(tzinfo=None)
    except ValueError:
        wrong.append(f"--as-of {as_of!r}: must be a date or a time, such as 2013-08-01")
    if wrong:
        raise UsageError("ML-DATA-014", "; ".join(wrong), "mlp data validate --help")
    return Order(files=files, dialect=dialect, as_of=moment)


def read(
    problem: "Problem", wanted: "Order", accept: "Callable[[pd.DataFrame], None]" = lambda _rows: None
) -> "tuple[Outcome, int]":
    """Read files; their rejected rows are in the store before anybody hears the outcome. Returns how many as well."""
    from ml.data import ingest, stores  # noqa: PLC0415  (imports that `--help` does not need)
    from ml.data.letters import DeadLetters  # noqa: PLC0415

    post = ingest.Post(DeadLetters(stores.dead_letters(problem.name)), datetime.now(UTC))
    with steps() as progress:
        outcome = ingest.ingest(problem, wanted, post, accept=accept, progress=_counting(progress))
    return outcome, post.deliver(systemic=outcome.systemic(problem.contract))


def keep_files(problem: "Problem", wanted: "Order") -> Kept:
    """The accepted rows of files in one order, as a snapshot; a table that is at fault as a whole leaves none."""
    from ml.data import snapshots, stores  # noqa: PLC0415  (imports that `--help` does not need)
    from ml.data.spill import Spill  # noqa: PLC0415

    folder, source = stores.snapshots(), ", ".join(path.name for path in wanted.files)
    with Spill(folder, problem.contract) as spill:
        outcome, _ = read(problem, wanted, spill.add)
        outcome.refuse(problem.contract)
        with steps() as progress:
            progress(f"sort and keep {spill.rows:,} rows")
            rows = spill.ordered([*([problem.time] if problem.time else []), *problem.key])
            ledger = outcome.ledger.to_json()
            name, path = snapshots.write_batches(spill.schema, rows, folder, source=source, ledger=ledger)
        return Kept(name=name, path=path, rows=spill.rows, source=source)


def keep_source(problem: "Problem", through: str | None) -> Kept:
    """The problem's own table as it is, as a snapshot."""
    from ml.data import snapshots, stores  # noqa: PLC0415  (imports that `--help` does not need)
    from ml.training import split  # noqa: PLC0415

    with steps() as progress:
        progress(f"load {problem.source}")
        table = problem.load(*split.bounds(problem, through)) if through else problem.load(None, None)
    name, path = snapshots.write(table, stores.snapshots(), source=problem.source)
    return Kept(name=name, path=path, rows=len(table), source=problem.source)


def _counting(progress: Callable[[str], None]) -> Callable[[int], None]:
    """Says how many rows are done, at each million."""
    told = [0]

    def count(rows: int) -> None:
        if rows // COUNTED > told[0]:
            told[0] = rows // COUNTED
            progress(f"checked {rows:,} rows")

    progress("check the file against the contract")
    return count
