"""`mlp batch`: predict a whole file with a release, in this process; and the runs over shards in a stack's cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from ml.batch.run import MAX_DEAD_SHARE, Options, predict_file
from ml.batch.run import Progress as Report
from ml.cli import batches
from ml.errors import UsageError
from ml.serving.bundle import load
from ml.serving.settings import RELEASE_ID
from toolchain.paths import repo_root


class _FileFirst(typer.core.TyperGroup):
    """What is no command's name is a file to predict here: `mlp batch INPUT OUTPUT` needs no word in between."""

    implied = "file"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [self.implied, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(add_completion=False, no_args_is_help=True, cls=_FileFirst)
app.command()(batches.status)
app.command()(batches.put)
app.command()(batches.get)


@app.callback()
def group() -> None:
    """Predict a whole file with a release: here, or in a stack's cluster over shards.

    Example: mlp batch flights.parquet late.parquet --release flights-0001 --keep id
    """


@app.command(_FileFirst.implied)
def batch(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="CSV (.csv, .csv.gz) or Parquet, one column a feature")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="CSV or Parquet by its ending; replaced whole")],
    release: Annotated[str, typer.Option("--release", help="The release that predicts, e.g. flights-0001")],
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="Input column to copy, e.g. a key; repeatable")
    ] = None,
    max_dead_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Write nothing when more rows than this share cannot be predicted")
    ] = MAX_DEAD_SHARE,
) -> None:
    """Predict every row of a file here; the word `file` may be left out.

    Rows that cannot be predicted go to OUTPUT.dead.jsonl with the reason.

    Example: mlp batch flights.parquet late.parquet --release flights-0001 --keep id
    """
    if not RELEASE_ID.fullmatch(release):
        raise UsageError("ML-BATCH-007", f"--release {release!r}: must be an id such as flights-0001", "ls releases")
    bundle = load(repo_root() / "releases" / release, release)
    with _bar(source.name) as progress:
        options = Options(keep=keep or (), max_dead_share=max_dead_share)
        report = predict_file(source, output, bundle.model, options, progress)
    rate = report.total / max(report.seconds, 1e-9)
    line = f"{release}: {report.total:,} rows = {report.accepted:,} predicted + {report.dead:,} dead letters"
    print(f"{line} in {report.seconds:.1f} s ({rate:,.0f} rows/s) -> {report.output}")
    if report.dead_letters is not None:
        print(f"dead letters: {report.dead_letters}")


@contextmanager
def _bar(name: str) -> Iterator[Report]:
    """A bar on standard error: of rows where the file says how many it has, else a running count."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda rows, total: bar.update(task, completed=rows, total=total)
