"""Which commands exist: targets of the Makefile, commands of `mlp`, subcommands of what we ship. For the meta-tests."""

import importlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import typer

from ml.cli import GROUPS

ROOT = Path(__file__).resolve().parents[2]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def _group(name: str) -> Any:
    module, _, attribute = GROUPS[name].target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command()(found)
        found = app
    return typer.main.get_command(found)


def missing_command(words: Sequence[str]) -> str | None:
    """What in a command line does not exist: a target, a group, a subcommand or an option. None: all of it does."""
    if words[0] == "make":
        return _missing_target(words[1:])
    return _missing_in_mlp(words[1:]) if words[0] == "mlp" else None


def _missing_target(words: Sequence[str]) -> str | None:
    targets = [word for word in words if "=" not in word and not word.startswith("-")]
    unknown = [word for word in targets if word not in make_targets()]
    return f"make target {unknown[0]}" if unknown else None


def _missing_in_mlp(words: Sequence[str]) -> str | None:
    if not words or words[0].startswith("-"):
        return None
    if words[0] not in GROUPS:
        return f"mlp {words[0]}"
    command, rest, path = _group(words[0]), list(words[1:]), f"mlp {words[0]}"
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        path = f"{path} {rest[0]}"
        if rest[0] not in command.commands:
            if not hasattr(command, "implied"):
                return path
            rest.insert(0, command.implied)
        command, rest = command.commands[rest[0]], rest[1:]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        name = word.partition("=")[0]
        if name.startswith("--") and name not in {*options, "--help"}:
            return f"{path} {name}"
    return None


def commands_in(text: str) -> list[str]:
    """Every `make …` and `mlp …` in a Markdown text: lines of its code blocks, and whole code spans."""
    blocks = re.findall(r"^```(?:bash|sh|console|text)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found = [*lines, *re.findall(r"`([^`\n]+)`", prose)]
    cleaned = (re.sub(r"\s+#.*| (?:&&|\|).*|[;…].*", "", line).strip() for line in found)
    return [line for line in cleaned if re.match(r"(make|mlp) [a-z-]", line)]
