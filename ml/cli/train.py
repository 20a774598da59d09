"""`mlp train` and `mlp data`: fit and judge a model; fetch the data and hold them against the contract."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ml import problem as problems
from ml.training.inputs import Progress
from toolchain import paths

data = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The training data: fetch them, hold them against the contract."
)

Through = Annotated[str | None, typer.Option(help="Last month to train on, YYYY-MM; the next one judges.")]


def train(
    through: Through = None,
    seed: Annotated[int | None, typer.Option(help="Of every random choice.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for model.onnx and serving.json.")] = None,
) -> None:
    """Fit and judge a model without making a release.

    Example: mlp train --through 2013-06
    """
    from ml.training import run  # noqa: PLC0415  (a second of imports that `--help` does not need)

    problem = problems.current()
    target = out or paths.repo_root() / ".build" / "candidates" / f"{problem.name}-{through or 'all'}"
    started = time.monotonic()
    with _steps() as progress:
        candidate = run.train(problem, through, out=target, seed=run.SEED if seed is None else seed, progress=progress)
    table = Table()
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name in sorted(candidate.metrics):
        table.add_row(name, f"{candidate.metrics[name]:.4f}")
    print(f"{problem.name}: trained on {_span(candidate.data['train'])}, judged on {_span(candidate.data['test'])}")
    console = Console()
    console.print(table)
    how = "reused an identical training" if candidate.reused else "trained"
    model = candidate.model
    print(
        f"{how} in {time.monotonic() - started:.1f} s; {model['bytes'] / 1000:.0f} kB of ONNX, "
        f"differs from the estimator by at most {model['parity_max_abs_diff']:.1e} on {model['parity_rows']:,} rows"
    )
    print(f"{candidate.model_path}\n{candidate.serving_path}")
    print(f"next: mlp release create --through {through}" if through else "next: mlp release create")


@data.command()
def fetch() -> None:
    """Bring the data to this machine, so that later steps need not.

    Example: mlp data fetch
    """
    from ml.training.lineage import snapshot_sha256  # noqa: PLC0415  (imports that `--help` does not need)

    problem = problems.current()
    with _steps() as progress:
        progress(f"load {problem.source}")
        table = problem.load(None, None)
    print(f"{problem.source}: {len(table):,} rows, {len(table.columns)} columns, snapshot {snapshot_sha256(table)}")


@data.command()
def validate(through: Through = None) -> None:
    """Print where every row goes by the contract; exit code 4 if the table itself is at fault.

    With --through, checks what `mlp train --through` would read: the months to it and the one that judges.

    Example: mlp data validate --through 2013-06
    """
    from ml.data import contract  # noqa: PLC0415  (a second of imports that `--help` does not need)
    from ml.training import split  # noqa: PLC0415

    problem = problems.current()
    with _steps() as progress:
        progress(f"load {problem.source}")
        table = problem.load(*(split.bounds(problem, through) if through else (None, None)))
        progress(f"check {len(table):,} rows against the contract")
        _, ledger = contract.sort_out(problem.contract, table, key=problem.key)
    shown = Table()
    shown.add_column("what happens to a row")
    shown.add_column("rows", justify="right")
    shown.add_row("accepted", f"{ledger.accepted:,}")
    for kind, counts in (("dropped", ledger.dropped), ("rejected", ledger.rejected)):
        for code, rows in counts.items():
            shown.add_row(f"{kind}: {code}", f"{rows:,}")
    shown.add_row("total", f"{ledger.total:,}", style="bold")
    print(problem.source)
    Console().print(shown)
    contract.refuse_systemic(problem.contract, ledger)
    print(
        f"rejected share {ledger.rejected_share:.2%}, at most {problem.contract.max_rejected_share:.2%}: the data pass"
    )


def _span(period: dict[str, object]) -> str:
    return f"{period['from']} to {period['to']} ({period['rows']:,} rows)"


@contextmanager
def _steps() -> Iterator[Progress]:
    """Names the step that is running; on a terminal with a spinner, in a log one line a step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: console.print(step, soft_wrap=True)
        return
    with console.status("start") as status:
        yield status.update
