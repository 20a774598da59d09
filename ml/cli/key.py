"""`mlp api-key`: the key that clients of a stack's model send, and how it is exchanged without an error for them.

Read from the cluster, stored nowhere else.
"""

import typer

from ml.cli.rotation import Root, Stack, draw, reached, stack_of, waiting
from ml.stack import api_keys
from toolchain.paths import repo_root

app = typer.Typer(add_completion=False)


@app.callback(invoke_without_command=True)
def api_key(context: typer.Context, stack: Stack = None, root: Root = repo_root()) -> None:
    """Print the API key of a stack's model, and nothing else, so that it can be used in a command.

    Example: curl -H "Authorization: Bearer $(mlp api-key --stack staging)" http://127.0.0.1:30080/ready
    """
    if context.invoked_subcommand is None:
        where = stack_of(context, stack)
        print(api_keys.current(reached(root, where), where))


@app.command()
def rotate(context: typer.Context, stack: Stack = None, root: Root = repo_root()) -> None:
    """Draw a new key and wait until every pod accepts it; the previous key stays valid until it is retired.

    Prints no key: mlp api-key prints the new one from then on. Run again after it was cut off, it goes on.

    Example: mlp api-key rotate --stack prod
    """
    where = stack_of(context, stack)
    with waiting() as patience:
        took = api_keys.rotate(reached(root, where), where, draw, patience)
    print(f"every pod of {where} accepts the new key, after {took:.0f} s; the previous key stays valid")
    print(f"next: give clients what mlp api-key --stack {where} prints, then mlp api-key retire --stack {where}")


@app.command()
def retire(context: typer.Context, stack: Stack = None, root: Root = repo_root()) -> None:
    """Let every pod refuse the previous key, once no client sends it any more. Safe to repeat.

    Example: mlp api-key retire --stack prod
    """
    where = stack_of(context, stack)
    with waiting() as patience:
        took = api_keys.retire(reached(root, where), where, patience)
    if took is None:
        print(f"{where} has no previous key; nothing to retire")
    else:
        print(f"every pod of {where} refuses the previous key, after {took:.0f} s")
