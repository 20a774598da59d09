"""`mlp mlflow-password`: the login of a stack's MLflow. Read from the cluster, stored nowhere else."""

from pathlib import Path
from typing import Annotated

import typer

from ml.stack import cluster, config
from ml.stack.publish import LOGIN_SECRET
from toolchain.paths import repo_root


def mlflow_password(
    stack: Annotated[str, typer.Option(help="The stack.")] = "staging",
    root: Annotated[Path, typer.Option(hidden=True)] = repo_root(),
) -> None:
    """Print the password of a stack's MLflow, and nothing else, so that it can be used in a command.

    Example: mlp mlflow-password --stack staging
    """
    print(cluster.secret(cluster.objects(stack, config.read(root, stack).kube_context), LOGIN_SECRET)["password"])
