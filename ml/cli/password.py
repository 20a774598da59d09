"""`mlp mlflow-password` and `mlp database-password`: what a stack's MLflow and its databases are opened with.

Read from the cluster, stored nowhere else.
"""

from typing import Annotated, Literal

import typer

from infra.names import LOGIN_SECRET, PASSWORD_FIELD
from ml.cli.rotation import Root, Stack, reached, rotate_password, stack_of
from ml.stack import cluster, passwords
from toolchain.paths import repo_root

mlflow = typer.Typer(add_completion=False)
database = typer.Typer(add_completion=False, no_args_is_help=True)


@mlflow.callback(invoke_without_command=True)
def mlflow_password(context: typer.Context, stack: Stack = None, root: Root = repo_root()) -> None:
    """Print the password of a stack's MLflow, and nothing else, so that it can be used in a command.

    Example: mlp mlflow-password --stack staging
    """
    if context.invoked_subcommand is None:
        print(cluster.secret(reached(root, stack_of(context, stack)), LOGIN_SECRET)[PASSWORD_FIELD])


@mlflow.command("rotate")
def rotate_login(context: typer.Context, stack: Stack = None, root: Root = repo_root()) -> None:
    """Draw a new password for MLflow's administrator and restart MLflow with it. The model goes on serving.

    Prints no password: mlp mlflow-password prints the new one from then on. Run again after it was cut off, it goes on.

    Example: mlp mlflow-password rotate --stack prod
    """
    where = stack_of(context, stack)
    away_s = rotate_password(root, where, passwords.LOGIN)
    print(f"MLflow of {where} has a new password; it was away for {away_s:.0f} s")


@database.callback()
def database_password() -> None:
    """The passwords of a stack's database roles. People need none: MLflow and the searches read them by themselves.

    Example: mlp database-password rotate --stack prod
    """


@database.command("rotate")
def rotate_role(
    context: typer.Context,
    stack: Stack = None,
    role: Annotated[Literal["mlflow", "training"], typer.Option(help="The role.")] = "mlflow",
    root: Root = repo_root(),
) -> None:
    """Draw a new password for a database role, tell Postgres, and restart MLflow where it is MLflow's.

    The model goes on serving. Run again after it was cut off, it goes on.

    Example: mlp database-password rotate --stack prod
    """
    where = stack_of(context, stack)
    if role == "training":
        rotate_password(root, where, passwords.TRAINING_ROLE)
        print(f"role training of {where} has a new password; the next search opens its database with it")
    else:
        away_s = rotate_password(root, where, passwords.MLFLOW_ROLE)
        print(f"role mlflow of {where} has a new password; MLflow was away for {away_s:.0f} s")
