"""`mlp drift`: compare live inputs with the data that the model was trained on."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ml.drift.__main__ import labels
from ml.drift.check import check as run_check
from ml.drift.check import exit_code
from ml.drift.prometheus import Source

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@app.callback()
def _group() -> None:
    """Compare live inputs with the data that the model was trained on."""


@app.command()
def check(
    release_dir: Annotated[Path, typer.Option(help="The release that is live, such as releases/flights-0001.")],
    prometheus: Annotated[str, typer.Option(help="Where Prometheus answers.")] = "http://127.0.0.1:30900",
    window: Annotated[str, typer.Option(help="How far back, as a PromQL duration.")] = "1h",
    match: Annotated[list[str] | None, typer.Option(help="LABEL=VALUE that the counters must have.")] = None,
    min_rows: Annotated[int | None, typer.Option(min=1, help="Fewer rows are inconclusive.")] = None,
) -> None:
    """Print the verdict as one line of JSON: ok, warn, alarm (exit code 3) or inconclusive.

    Example: mlp drift check --release-dir releases/flights-0001 --window 6h
    """
    source = Source(url=prometheus, window=window, match=labels(match or []))
    result = run_check(source, release_dir, min_rows)
    print(json.dumps(result, sort_keys=True))
    raise typer.Exit(exit_code(result))
