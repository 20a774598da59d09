"""Runs pulumi for the command line, in the environment that the toolchain gives every command of ours."""

import json
import subprocess
from pathlib import Path
from typing import Any

from ml.errors import PipelineError, SurroundingsError
from toolchain.environment import pulumi_env
from toolchain.stack import Stack

OUTPUT_LIMIT_S = 60


def up(root: Path, stack: str) -> None:
    """`pulumi up` with the policy pack; its output is the user's. What a killed one has left is cleared before.

    Raises:
        SurroundingsError: If another process holds the stack.
        PipelineError: If it fails; the stack file has been changed by then, so the same command goes on.
    """
    command = ["pulumi", "up", "--yes", "--stack", stack, "--policy-pack", str(root / "policies")]
    env = pulumi_env()
    Stack(stack, env, root).recover()
    try:
        done = subprocess.run(command, cwd=root, env=env, check=False)
    except OSError as error:
        raise SurroundingsError("ML-TOOL-020", f"pulumi cannot be started: {error.strerror}", "make setup") from error
    if done.returncode != 0:
        message = f"pulumi up --stack {stack} failed with exit code {done.returncode}; its reasons are above"
        raise PipelineError("ML-REL-013", message, "correct the cause and run the same command again")


def outputs(root: Path, stack: str) -> dict[str, Any]:
    """The stack's outputs, secrets masked; empty when there are none or pulumi cannot tell."""
    command = ["pulumi", "stack", "output", "--json", "--stack", stack]
    try:
        done = subprocess.run(
            command, cwd=root, env=pulumi_env(), check=False, capture_output=True, text=True, timeout=OUTPUT_LIMIT_S
        )
        found = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
