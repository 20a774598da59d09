"""`mlp preview`: the pull request comment. Writes it even when the change is refused, and ends with Pulumi's code."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ml.preview.render import blockers, render
from ml.preview.run import preview as run_preview
from toolchain.environment import pulumi_env
from toolchain.paths import repo_root

REFUSED = 3  # the exit code of a gate: pulumi was content, the record is not


def preview(
    stack: Annotated[str, typer.Option(help="The stack that would change.")] = "staging",
    out: Annotated[Path | None, typer.Option(help="Write the comment there; without it, to standard output.")] = None,
    json_preview: Annotated[Path | None, typer.Option(help="Write the same facts there, as JSON for tools.")] = None,
) -> None:
    """Show in one Markdown comment what `pulumi up` would change, in the infrastructure and in the model.

    Ends with the exit code of `pulumi preview`, so a refused change fails the job and still leaves its comment.

    Example: mlp preview --stack staging --out .build/preview/comment.md
    """
    console = Console(stderr=True)
    with console.status(f"pulumi preview --stack {stack} (usually under 10 s)"):
        facts = run_preview(stack, root=repo_root(), environment=pulumi_env())
    comment = render(facts)
    if json_preview is not None:
        _write(json_preview, json.dumps(facts.to_json(), indent=2) + "\n")
    if out is None:
        print(comment, end="")
    else:
        _write(out, comment)
        console.print(f"wrote {out}")
    refused = blockers(facts)
    for reason in refused:
        console.print(f"refused: {reason}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(facts.exit_code or (REFUSED if refused else 0))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
