"""Run `pulumi preview` once and gather the facts. The effects of the preview: processes and files; no decisions.

One run gives everything: the usual display goes to the person, the engine's event log to us.
"""

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from ml.errors import ConfigError, SurroundingsError, UsageError
from ml.preview.events import plan_from
from ml.preview.evidence import candidate_of, evidence_from, with_desired
from ml.preview.facts import Evidence, Plan, Preview
from ml.release import store
from ml.stack import config
from ml.stack.slots import State

DEADLINE_S: Final = 600


def preview(stack: str, *, root: Path, environment: Mapping[str, str]) -> Preview:
    """What `pulumi up --stack STACK` would change, in the infrastructure and in the model.

    Args:
        stack: Name of the stack; its file is `Pulumi.<stack>.yaml` under `root`.
        root: The repository.
        environment: Whole environment of the child process.

    Raises:
        ConfigError: If there is no such stack file.
        SurroundingsError: If the pulumi CLI is missing or does not end.
    """
    wanted, contradiction = _wanted(stack, root)
    with tempfile.TemporaryDirectory(prefix="mlp-preview-") as folder:
        log = Path(folder) / "events.json"
        exit_code, shown = _pulumi(stack, root, environment, log)
        plan = plan_from(log.read_text(errors="replace") if log.exists() else "")
    plan = _with_early_failure(plan, exit_code, shown)
    plan = replace(plan, errors=(*contradiction, *plan.errors)) if wanted is None else with_desired(plan, wanted)
    release = candidate_of(plan)
    evidence = None if release is None else _evidence(release, root)
    return Preview(stack=stack, exit_code=exit_code, plan=plan, candidate=evidence)


def _wanted(stack: str, root: Path) -> tuple[State | None, tuple[str, ...]]:
    """What the stack's file asks for, or why it cannot be read: a file with an error still gets its comment."""
    if not config.path_of(root, stack).is_file():
        config.read(root, stack)  # raises, and names the stacks that there are
    try:
        return config.read(root, stack).state, ()
    except ConfigError as error:
        return None, (f"{error.code}: {error.message}",)


def _pulumi(stack: str, root: Path, environment: Mapping[str, str], log: Path) -> tuple[int, str]:
    command = ["pulumi", "preview", "--stack", stack, "--policy-pack", str(root / "policies")]
    command += ["--diff", "--non-interactive", "--color", "never", "--event-log", str(log)]
    # The Automation API sets the same variable: without it the CLI does not know --event-log.
    child = {**environment, "PULUMI_DEBUG_COMMANDS": "true"}
    child.pop("PULUMI_OPTION_POLICY_PACK", None)  # the CLI would run the pack twice: the variable adds to the flag
    try:
        done = subprocess.run(
            command, cwd=root, env=child, text=True, capture_output=True, check=False, timeout=DEADLINE_S
        )
    except FileNotFoundError as error:
        raise SurroundingsError("ML-TOOL-021", "the pulumi CLI is not on PATH", "make setup") from error
    except subprocess.TimeoutExpired as error:
        message = f"pulumi preview did not end within {DEADLINE_S} s"
        raise SurroundingsError("ML-TOOL-022", message, "mlp cluster status") from error
    return done.returncode, done.stdout + done.stderr


def _with_early_failure(plan: Plan, exit_code: int, shown: str) -> Plan:
    """Failures before the engine starts (passphrase, unknown stack) are only in what the CLI printed."""
    if exit_code == 0 or plan.errors or plan.findings:
        return plan
    errors = [line.removeprefix("error: ") for line in shown.splitlines() if line.startswith("error: ")]
    return replace(plan, errors=tuple(errors) or (shown.strip()[-2000:],))


def _evidence(release: str, root: Path) -> Evidence:
    try:
        problems = [str(problem) for problem in store.inspect(root, release)]
    except UsageError as error:  # no such release, or no release id: nothing that could be read
        return evidence_from(release, None, [f"{error.code}: {error.message}"])
    return evidence_from(release, (root / "releases" / release / store.RECORD).read_bytes(), problems)
