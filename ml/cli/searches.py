"""`mlp search`: look at the searches that run in a stack's cluster, and take their result."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ml.cli.search import shown
from ml.stack import cluster, config, searches
from ml.stack.objects import Objects
from toolchain.paths import repo_root

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Searches in a stack's cluster: status, result.")

Stack = Annotated[str, typer.Option(help="The stack.")]


@app.command()
def status(stack: Stack = "staging") -> None:
    """List the searches of a stack.

    Example: mlp search status --stack staging
    """
    known = searches.searches(_objects(stack))
    for one in known:
        state = "over" if one.section is not None else f"{one.active} workers active"
        print(f"{one.study}: {state}; pods that ended well {one.succeeded}, that failed {one.failed}")
    if not known:
        print(f"stack {stack} has no search; docs/training.md says how to ask for one")


@app.command()
def result(
    stack: Stack = "staging",
    study: Annotated[str | None, typer.Option(help="Its name; not needed if there is only one.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for `--search`; by default .build/search/STUDY.json.")] = None,
) -> None:
    """Write the result of a search that is over to a file that `mlp release create --search` takes.

    Example: mlp search result --stack staging
    """
    found = searches.result(_objects(stack), stack, study)
    section = found.section or {}
    target = out or repo_root() / ".build" / "search" / f"{found.study}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(section, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    Console().print(shown(section), soft_wrap=True, highlight=False, markup=False)
    print(f"{target}\nnext: mlp release create --through MONTH --search {target}")


def _objects(stack: str) -> Objects:
    return cluster.objects(stack, config.read(repo_root(), stack).kube_context)
