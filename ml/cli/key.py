"""`mlp api-key`: the key that clients of a stack's model send. Read from the cluster, stored nowhere else."""

from pathlib import Path
from typing import Annotated

import typer

from infra.names import API_KEY_FIELD, API_KEY_SECRET
from ml.errors import SurroundingsError
from ml.stack import cluster, config
from ml.stack.objects import Objects
from toolchain.paths import repo_root

Root = Annotated[Path, typer.Option(hidden=True)]


def api_key(
    stack: Annotated[str, typer.Option(help="The stack whose model is called.")] = "staging",
    root: Root = repo_root(),
) -> None:
    """Print the API key of a stack's model, and nothing else, so that it can be used in a command.

    Example: curl -H "Authorization: Bearer $(mlp api-key --stack staging)" http://127.0.0.1:30080/ready
    """
    found = cluster.objects(stack, config.read(root, stack).kube_context)
    print(key_of(found, stack))


def key_of(found: Objects, stack: str) -> str:
    """The key in the stack's Secret.

    Raises:
        SurroundingsError: There is no Secret, or no key in it.
    """
    key = cluster.secret(found, API_KEY_SECRET).get(API_KEY_FIELD)
    if not key:
        message = f"secret {API_KEY_SECRET} of stack {stack!r} has no {API_KEY_FIELD!r}"
        raise SurroundingsError("ML-CONF-005", message, f"pulumi up --stack {stack}")
    return key
