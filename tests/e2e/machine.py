"""A machine for the walk: a clean clone of HEAD, a home of its own, and the commands that a person would type."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Short on purpose: Unix socket paths must stay under 108 characters.
HOME = Path("/tmp/mlp-e2e")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Runs commands in the clone with the clone's own environment."""

    clone: Path
    home: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(
        self, *command: str, timeout_s: float = 600, check: bool = True, logged: bool = True, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` as typed after `source .venv/bin/activate`; output goes to the walk's log as well."""
        script = '. .venv/bin/activate && exec "$@"' if (self.clone / ".venv/bin/activate").exists() else 'exec "$@"'
        done = subprocess.run(
            ["bash", "-c", script, "bash", *command],
            cwd=self.clone,
            env={**self.environment, "MLP_HOME": str(self.home), **extra},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
        with self.log.open("a") as log:
            shown = done.stdout if logged or done.returncode else "(not logged)"
            log.write(f"\n$ {' '.join(command)}\n{shown}\n[exit {done.returncode}]\n")
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(command)}: exit {done.returncode}; whole output in {self.log}\n{done.stdout[-4000:]}"
            )
        return done

    def kubectl(self, *args: str) -> Any:
        """The JSON that `kubectl ARGS -o json` answers, without what it complains of when an API is down."""
        lines = self.run("kubectl", *args, "-o", "json", timeout_s=60).stdout.splitlines()
        return json.loads("\n".join(lines[lines.index("{") : len(lines) - lines[::-1].index("}")]))

    def secret(self, *command: str) -> str:
        """As `text`, for a command that prints a secret: its output stays out of the log."""
        return self.run(*command, timeout_s=60, logged=False).stdout.strip()

    def text(self, *command: str) -> str:
        """The stripped output of a command that must succeed."""
        return self.run(*command, timeout_s=60).stdout.strip()


def make(home: Path = HOME) -> Machine:
    """A clean clone of this repository's HEAD with an empty home; removes what an earlier walk left.

    With MLP_E2E_KEEP the home and its cluster of the last walk are used again: for writing tests, not for proof.
    """
    clone = home / "clone"
    home.mkdir(parents=True, exist_ok=True)
    if clone.exists() and os.environ.get("MLP_E2E_KEEP"):
        subprocess.run(["git", "-C", str(clone), "fetch", "--quiet"], check=True)
        subprocess.run(["git", "-C", str(clone), "reset", "--quiet", "--hard", "origin/HEAD"], check=True)
        stack = clone / "Pulumi.staging.yaml"
        # This home's stack has a salt of its own, which the next command takes from the state.
        stack.write_text(re.sub(r"^encryptionsalt:.*\n", "", stack.read_text(), flags=re.MULTILINE))
    else:
        shutil.rmtree(clone, ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    foreign = ("PULUMI_", "MLP_", "KUBE", "DOCKER_HOST", "VIRTUAL_ENV")
    keep = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return Machine(clone=clone, home=home / "home", log=home / "walk.log", environment=keep)
