"""`mlp data`: the training data: fetch them, hold them against the contract, pin them, look at them, correct them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from ml import problem as problems
from ml.cli import files as chosen
from ml.cli.display import steps
from toolchain.paths import scratch

if TYPE_CHECKING:
    from ml.data.checker import Outcome
    from ml.data.ingest import Order
    from ml.data.letters import Content
    from ml.problem import Problem

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The training data: hold them against the contract, pin them, look at them, correct what was rejected.",
)

Files = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE]...", help="CSV or Parquet; without one, the problem's source.")
]
Through = Annotated[str | None, typer.Option(help="Last month to train on, YYYY-MM; the next one judges.")]
AsOf = Annotated[str | None, typer.Option(help="Moment that a file's rows are to be of, such as 2013-08-01.")]
Encoding = Annotated[str, typer.Option(help="Of the file.")]
Delimiter = Annotated[str | None, typer.Option(help="Between the cells; otherwise the header tells.")]
TimeZone = Annotated[str | None, typer.Option(help="Of the file's times without an offset, such as UTC.")]


@app.command()
def fetch() -> None:
    """Bring the data to this machine, so that later steps need not.

    Example: mlp data fetch
    """
    from ml.data.digest import snapshot_sha256  # noqa: PLC0415  (imports that `--help` does not need)

    problem = problems.current()
    with steps() as progress:
        progress(f"load {problem.source}")
        table = problem.load(None, None)
    print(f"{problem.source}: {len(table):,} rows, {len(table.columns)} columns, snapshot {snapshot_sha256(table)}")


@app.command()
def validate(  # noqa: PLR0917  (typer options are arguments)
    files: Files = None,
    through: Through = None,
    as_of: AsOf = None,
    encoding: Encoding = "utf-8",
    delimiter: Delimiter = None,
    time_zone: TimeZone = None,
) -> None:
    """Print where every row goes by the contract; exit code 4 if the table itself is at fault.

    With --through, checks what `mlp train --through` would read: the months to it and the one that judges. Files are
    read in chunks, as one table; their rejected rows are kept as dead letters.

    Example: mlp data validate --through 2013-06
    """
    problem = problems.current()
    if wanted := _files(files, as_of, encoding, delimiter, time_zone):
        outcome, kept = chosen.read(problem, wanted)
        print(", ".join(path.name for path in wanted.files))
    else:
        outcome, kept = _sourced(problem, through), 0
        print(problem.source)
    show(outcome)
    if kept:
        print(f"kept {kept:,} dead letters; see them with: mlp data letters")
    outcome.refuse(problem.contract)
    share, limit = outcome.ledger.rejected_share, problem.contract.max_rejected_share
    print(f"rejected share {share:.2%}, at most {limit:.2%}: the data pass")


@app.command()
def snapshot(  # noqa: PLR0917  (typer options are arguments)
    files: Files = None,
    through: Through = None,
    as_of: AsOf = None,
    encoding: Encoding = "utf-8",
    delimiter: Delimiter = None,
    time_zone: TimeZone = None,
) -> None:
    """Keep the data as one immutable file, named by their content; training can be pinned to it.

    Of the problem's own source, as it is; of files, the accepted rows, once the table as a whole passes. The same
    rows in another order or format are the same snapshot.

    Example: mlp data snapshot flights.csv
    """
    problem = problems.current()
    if wanted := _files(files, as_of, encoding, delimiter, time_zone):
        kept = chosen.keep_files(problem, wanted)
    else:
        kept = chosen.keep_source(problem, through)
    month = f" --through {through}" if through else ""
    size_mb = kept.path.stat().st_size / 1e6
    print(f"snapshot {kept.name}\n{kept.rows:,} rows of {kept.source}, {size_mb:.1f} MB: {kept.path}")
    print(f"next: mlp release create{month} --snapshot {kept.name}")


@app.command()
def profile(  # noqa: PLR0917  (typer options are arguments)
    files: Files = None,
    through: Through = None,
    out: Annotated[Path | None, typer.Option(help="The page; by default .build/data/PROBLEM.html.")] = None,
    as_of: AsOf = None,
    encoding: Encoding = "utf-8",
    delimiter: Delimiter = None,
    time_zone: TimeZone = None,
) -> None:
    """Write one page about the data: where every row went, and each column with its distribution, range and course.

    The page is written for data that break the contract as well; the exit code is 4 then.

    Example: mlp data profile --through 2013-06
    """
    from ml.data import atomic  # noqa: PLC0415  (imports that `--help` does not need)
    from ml.data import profile as profiles  # noqa: PLC0415

    problem = problems.current()
    if wanted := _files(files, as_of, encoding, delimiter, time_zone):
        outcome, _ = chosen.read(problem, wanted)
        source = ", ".join(path.name for path in wanted.files)
    else:
        outcome, source = _sourced(problem, through), problem.source
    target = out or scratch() / "data" / f"{problem.name}.html"
    with steps() as progress:
        progress("draw the columns")
        atomic.write(target, profiles.page(problem, outcome, source).encode())
    print(f"{target}: {outcome.ledger.total:,} rows, {len(problem.contract.schema.columns)} columns")
    outcome.refuse(problem.contract)


@app.command()
def replay(
    everything: Annotated[bool, typer.Option("--all", help="Also the letters that failed too often.")] = False,
) -> None:
    """Check the dead letters again, after the contract was corrected; those that pass are handed back as a file.

    Example: mlp data replay
    """
    from ml.data import replay as replays  # noqa: PLC0415  (imports that `--help` does not need)
    from ml.data import stores  # noqa: PLC0415
    from ml.data.letters import DeadLetters  # noqa: PLC0415

    problem = problems.current()
    store = DeadLetters(stores.dead_letters(problem.name))
    with steps() as progress:
        progress("check the dead letters again")
        done = replays.replay(problem, store, store.folder / "replayed", now=datetime.now(UTC), everything=everything)
    print(
        f"{done.passed:,} pass, {done.dropped:,} are not needed (no label, or there already), "
        f"{done.failed:,} fail again, {done.passed_over:,} passed over"
    )
    if done.file is not None:
        print(f"handed back: {done.file}\nnext: mlp data snapshot FILE {done.file}")


@app.command()
def letters(
    metrics: Annotated[bool, typer.Option("--metrics", help="In the Prometheus text format.")] = False,
) -> None:
    """Show the dead letters: rejected rows, by cause.

    Example: mlp data letters
    """
    from ml.data import letters as store  # noqa: PLC0415  (imports that `--help` does not need)
    from ml.data import stores  # noqa: PLC0415

    kept = store.DeadLetters(stores.dead_letters(problems.current().name))
    content = kept.read()
    if metrics:
        print(store.metrics(content, kept.size()), end="")
        return
    _show_letters(content)
    print(kept.folder)


def _show_letters(content: "Content") -> None:
    shown = Table()
    for name in ("causes", "source", "row", "attempts", "last seen"):
        shown.add_column(name, justify="right" if name in ("row", "attempts") else "left")
    ordered = sorted(content.letters.values(), key=lambda each: (each.causes, each.source, each.row))
    for each in ordered[:20]:
        count = f"{each.attempts}{' (permanent)' if each.permanent else ''}"
        shown.add_row(", ".join(each.causes), each.source, f"{each.row:,}", count, each.last_seen)
    Console().print(shown)
    more = f", of which {len(ordered) - 20:,} are not shown" if len(ordered) > 20 else ""
    counts = content.counts
    print(f"{len(ordered):,} dead letters{more}; {counts.resolved:,} resolved, {counts.dropped:,} dropped so far")


def show(outcome: "Outcome") -> None:
    """The ledger as a table, then the age of the newest row."""
    ledger = outcome.ledger
    shown = Table()
    shown.add_column("what happens to a row")
    shown.add_column("rows", justify="right")
    shown.add_row("accepted", f"{ledger.accepted:,}")
    for kind, counts in (("dropped", ledger.dropped), ("rejected", ledger.rejected)):
        for code, rows in counts.items():
            shown.add_row(f"{kind}: {code}", f"{rows:,}")
    shown.add_row("total", f"{ledger.total:,}", style="bold")
    Console().print(shown)
    if outcome.age is not None:
        age = outcome.age
        print(
            f"newest row {age.newest:%Y-%m-%d %H:%M}, {age.days:.1f} days before {age.as_of:%Y-%m-%d}; "
            f"at most {age.limit_days:g} may pass"
        )


def _sourced(problem: "Problem", through: str | None) -> "Outcome":
    """What the contract says to the problem's own table."""
    from ml.data.checker import sort_out  # noqa: PLC0415  (a second of imports that `--help` does not need)
    from ml.training import months, split  # noqa: PLC0415

    with steps() as progress:
        progress(f"load {problem.source}")
        first, last = split.bounds(problem, through) if through else (None, None)
        table = problem.load(first, last)
        progress(f"check {len(table):,} rows against the contract")
        return sort_out(problem.contract, table, key=problem.key, as_of=months.end(last) if last else None)[1]


def _files(
    paths: list[Path] | None, as_of: str | None, encoding: str, delimiter: str | None, zone: str | None
) -> "Order | None":
    """What to read, if files were named."""
    return chosen.order(paths, as_of, encoding, delimiter, zone) if paths else None
