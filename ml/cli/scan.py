"""`mlp scan`: dependencies, our code, model files and images."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ml.cli.display import steps
from ml.errors import GateError
from ml.gate import policy as policies
from ml.release import store
from ml.security.image import scan_image
from ml.security.result import Scan
from ml.security.run import scan_all, unanswered
from toolchain.paths import repo_root

_STYLES = {"pass": "green", "fail": "red", "incomplete": "yellow"}


def scan(
    image: Annotated[str | None, typer.Option(help="Scan this image by digest instead of the checkout.")] = None,
    release: Annotated[str | None, typer.Option(help="Also look at this release's files.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the results there, as JSON.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask again what was answered today.")] = False,
    root: Annotated[Path, typer.Option(hidden=True)] = repo_root(),
) -> None:
    """Scan, and say what was really looked at, when, and with advisory data of which day.

    Exit code 3 if something failed, or could not be looked at unexcused.

    Example: mlp scan --release flights-0001
    """
    now = datetime.now(tz=UTC)
    release_dir = None if release is None else store.load(root, release).directory
    with steps() as progress:
        if image is None:
            scans = scan_all(root, release_dir, now, progress, fresh=fresh)
        else:
            progress(f"scanning {image}")
            scans = scan_image(root, image)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        results = {name: result.to_json() for name, result in scans.items()}
        out.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    _show(scans)
    open_ones = unanswered(
        scans, policies.load("binary"), now.strftime("%Y-%m-%d")
    )  # the exceptions are the same for every kind
    if open_ones:
        raise typer.Exit(GateError.exit_code)


def _show(scans: dict[str, Scan]) -> None:
    console = Console(highlight=False)
    table = Table()
    for column in ("scan", "verdict", "covered", "scanned", "data of"):
        table.add_column(column, no_wrap=True)
    for name, result in scans.items():
        verdict = f"[{_STYLES[result.verdict]}]{result.verdict}[/]"
        covered = f"{result.covered}/{result.total}"
        when, data = result.scanned_at or "", result.database_date or ""
        table.add_row(name, verdict, covered, when[:16].replace("T", " "), data)
    console.print(table)
    for name, result in scans.items():
        console.print(f"{name}, {result.tool} {result.version}: {result.reason}", soft_wrap=True, markup=False)
        for finding in result.findings:
            console.print(f"  {finding}", soft_wrap=True, markup=False)
