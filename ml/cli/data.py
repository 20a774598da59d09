"""`mlp data`: the training data: fetch them, hold them against the contract."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from ml import problem as problems
from ml.cli.display import steps

if TYPE_CHECKING:
    from ml.data.checker import Outcome

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The training data: fetch them, hold them against the contract."
)

Through = Annotated[str | None, typer.Option(help="Last month to train on, YYYY-MM; the next one judges.")]


@app.command()
def fetch() -> None:
    """Bring the data to this machine, so that later steps need not.

    Example: mlp data fetch
    """
    from ml.training.lineage import snapshot_sha256  # noqa: PLC0415  (imports that `--help` does not need)

    problem = problems.current()
    with steps() as progress:
        progress(f"load {problem.source}")
        table = problem.load(None, None)
    print(f"{problem.source}: {len(table):,} rows, {len(table.columns)} columns, snapshot {snapshot_sha256(table)}")


@app.command()
def validate(through: Through = None) -> None:
    """Print where every row goes by the contract; exit code 4 if the table itself is at fault.

    With --through, checks what `mlp train --through` would read: the months to it and the one that judges.

    Example: mlp data validate --through 2013-06
    """
    from ml.data.checker import sort_out  # noqa: PLC0415  (a second of imports that `--help` does not need)
    from ml.training import months, split  # noqa: PLC0415

    problem = problems.current()
    with steps() as progress:
        progress(f"load {problem.source}")
        first, last = split.bounds(problem, through) if through else (None, None)
        table = problem.load(first, last)
        progress(f"check {len(table):,} rows against the contract")
        as_of = months.end(last) if last else None
        _, outcome = sort_out(problem.contract, table, key=problem.key, as_of=as_of)
    print(problem.source)
    show(outcome)
    outcome.refuse(problem.contract)
    print(
        f"rejected share {outcome.ledger.rejected_share:.2%}, at most {problem.contract.max_rejected_share:.2%}: "
        "the data pass"
    )


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
