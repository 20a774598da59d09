"""What the commands that rotate a secret share: which stack, its cluster, a value that is drawn, and how one waits."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from infra.cluster import named
from infra.names import SECRET_BYTES, namespace
from ml.cli.display import steps
from ml.stack import cluster, config, passwords
from ml.stack.objects import Objects
from ml.stack.volume import Kubectl
from ml.stack.waiting import Waiting

Root = Annotated[Path, typer.Option(hidden=True)]
Stack = Annotated[str | None, typer.Option("--stack", help="The stack; staging when none is named.")]
STAGING: Final = "staging"


def draw() -> str:
    """A new value."""
    return secrets.token_urlsafe(SECRET_BYTES)


def stack_of(context: typer.Context, given: str | None) -> str:
    """The stack that was named before or after the command's last word: never another one by oversight."""
    above: dict[str, Any] = context.parent.params if context.parent is not None else {}
    return given or above.get("stack") or STAGING


def reached(root: Path, stack: str) -> Objects:
    """The stack's namespace."""
    return cluster.objects(stack, config.read(root, stack).kube_context)


@contextmanager
def waiting() -> Iterator[Waiting]:
    """Waits, and says on standard error what for."""
    with steps() as progress:
        yield Waiting(say=progress)


def rotate_password(root: Path, stack: str, password: passwords.Password) -> float:
    """Rotate one password of a stack; the seconds that MLflow was away."""
    kubectl = Kubectl(cluster=named(os.environ, config.read(root, stack).kube_context), namespace=namespace(stack))

    def execute(pod: str, words: Sequence[str]) -> str:
        return kubectl.run("exec", pod, "--", *words).decode()

    with waiting() as patience:
        place = passwords.Place(found=reached(root, stack), execute=execute, waiting=patience)
        return passwords.rotate(place, password, draw)
