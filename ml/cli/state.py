"""`mlp state`: what Pulumi remembers of a stack on this machine; check it, and bring it back when it is damaged."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from toolchain import checkpoints, environment

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="What Pulumi remembers of a stack: check it, restore it."
)
Stack = Annotated[str, typer.Option(help="The stack.")]


@app.command()
def check(stack: Stack = "staging") -> None:
    """Say whether a stack's state can be read, and which earlier copies there are; exit code 6 when it is damaged.

    Example: mlp state check --stack staging
    """
    files = checkpoints.local(environment.pulumi_env(), stack)
    files.require_whole()
    for one in files.copies():
        print(_line(one))
    print(f"the state of stack {stack} is whole")


@app.command()
def restore(stack: Stack = "staging") -> None:
    """Put the newest whole copy in the place of a damaged state; the damaged file is kept beside it.

    Example: mlp state restore --stack staging && make up
    """
    print(f"restored: {_line(checkpoints.local(environment.pulumi_env(), stack).restore())}")
    print(f"next: make up STACK={stack}, which reads the cluster where the copy may be behind it")


def _line(one: checkpoints.Copy) -> str:
    at = datetime.fromtimestamp(one.at, UTC).isoformat(timespec="seconds")
    return f"{at}  {one.problem or f'{one.resources} resources'}  {one.path}"
