"""`mlp train`: fit and judge a model without making a release."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ml.training.inputs import Progress
from toolchain import paths

Through = Annotated[str | None, typer.Option(help="Last month to train on, YYYY-MM; the next one judges.")]


def train(
    through: Through = None,
    seed: Annotated[int | None, typer.Option(help="Of every random choice.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for model.onnx and serving.json.")] = None,
    snapshot: Annotated[str | None, typer.Option(help="Train on this snapshot, by its hash.")] = None,
) -> None:
    """Fit and judge a model without making a release.

    Example: mlp train --through 2013-06
    """
    from ml.data.pin import current  # noqa: PLC0415  (a second of imports that `--help` does not need)
    from ml.training import run  # noqa: PLC0415  (a second of imports that `--help` does not need)

    problem = current(snapshot)
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
