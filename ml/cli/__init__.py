"""`mlp`: one command with a group for each job. Owns the table of groups, the errors' last mile and the exit codes.

A group's module is imported only when its name is on the command line, so that `mlp --help` starts at once and a
broken module never takes the others with it.
"""

import difflib
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml.errors import PipelineError, UsageError

INTERRUPTED = 130  # what a shell reports for a command that SIGINT ended


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """One word after `mlp`: where its Typer app or command function lives, and its line in the help."""

    target: str
    words: str
    example: str


GROUPS: Mapping[str, Group] = {
    "cluster": Group(
        target="ml.cli.cluster:app",
        words="the local cluster: up, down, status, logs, delete",
        example="mlp cluster up",
    ),
    "train": Group(
        target="ml.cli.train:train",
        words="fit and judge a model without making a release",
        example="mlp train --through 2013-06",
    ),
    "data": Group(
        target="ml.cli.data:app",
        words="the training data: fetch it, validate it against the contract",
        example="mlp data validate",
    ),
    "search": Group(
        target="ml.cli.searches:app",
        words="searches that run in a stack's cluster: status, result",
        example="mlp search status --stack staging",
    ),
    "reproduce": Group(
        target="ml.cli.reproduce:reproduce",
        words="train again from a release record alone, and compare",
        example="mlp reproduce flights-0001",
    ),
    "release": Group(
        target="ml.cli.release:app",
        words="releases: create, show, verify, stage, publish",
        example="mlp release create --through 2013-06",
    ),
    "keys": Group(
        target="ml.cli.keys:app",
        words="who may sign releases: create, list, trust, revoke",
        example="mlp keys create",
    ),
    "promote": Group(
        target="ml.cli.promote:promote",
        words="bring the release that is live in one stack to the next one, by digest",
        example="mlp promote --from staging --to prod",
    ),
    "rollback": Group(
        target="ml.cli.promote:rollback",
        words="bring the earlier release back",
        example="mlp rollback --stack prod",
    ),
    "drift": Group(
        target="ml.cli.drift:app",
        words="compare new or live inputs with the training data",
        example="mlp drift check --release-dir releases/flights-0001",
    ),
    "scan": Group(
        target="ml.cli.scan:scan",
        words="dependencies, code, model files and images: what is known to be unsafe",
        example="mlp scan",
    ),
    "batch": Group(
        target="ml.cli.batch:app",
        words="predict a whole file, here or in a stack's cluster: status, put, get",
        example="mlp batch --help",
    ),
    "preview": Group(
        target="ml.cli.preview:preview",
        words="what would change in the infrastructure and in the model, as one Markdown comment",
        example="mlp preview --stack staging",
    ),
    "state": Group(
        target="ml.cli.state:app",
        words="what Pulumi remembers of a stack on this machine: check, restore",
        example="mlp state check --stack staging",
    ),
    "api-key": Group(
        target="ml.cli.key:app",
        words="the key that clients of a stack's model send: print, rotate, retire",
        example="mlp api-key --stack staging",
    ),
    "mlflow-password": Group(
        target="ml.cli.password:mlflow",
        words="the password of a stack's MLflow: print, rotate",
        example="mlp mlflow-password --stack staging",
    ),
    "database-password": Group(
        target="ml.cli.password:database",
        words="the passwords of a stack's database roles: rotate",
        example="mlp database-password rotate --stack staging",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after `mlp`; those of the process when not given.

    Returns:
        The exit code: 0 done, 2 wrong usage, 3 refused by evidence, others as `ml.errors` says.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not words or words[0] in ("--help", "-h", "help"):
            print(_help())
            return 0
        return _run(words[0], words[1:])
    except PipelineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(name: str, arguments: Sequence[str]) -> int:
    command = _command(name)
    try:
        command.main(args=list(arguments), prog_name=f"mlp {name}")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0


def _command(name: str) -> Any:
    """The click command of a group: its Typer app, or an app made of its one function."""
    import typer  # noqa: PLC0415  (a third of a second that the help does not need)

    group = GROUPS.get(name)
    if group is None:
        near = difflib.get_close_matches(name, GROUPS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(GROUPS)}"
        raise UsageError("ML-CONF-010", f"mlp {name}: no such command; {hint}", "mlp --help")
    module, _, attribute = group.target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command()(found)
        found = app
    return typer.main.get_command(found)


def _help() -> str:
    width = max(map(len, GROUPS)) + 2
    lines = ["Usage: mlp COMMAND [OPTIONS]", "", "Delivers a model from its data to a gated, served release.", ""]
    for name, group in GROUPS.items():
        lines += [f"  {name:<{width}}{group.words}", f"  {'':<{width}}  $ {group.example}"]
    return "\n".join([*lines, "", "mlp COMMAND --help says more."])
