"""Runs the `run:` steps of a GitHub workflow on this machine, in a clean clone of HEAD, so that CI holds no surprise.

Jobs run in the order of `needs`, one after another; the first failing step ends it. `uses:` steps are listed and left
out. Of the expression language it knows what a condition on the event needs: see `Conditions`.
"""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ml.errors import PipelineError, UsageError
from toolchain import environment, paths
from toolchain.display import duration

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass(frozen=True, kw_only=True)
class Event:
    """What the workflow is run for."""

    name: str = "push"
    ref: str = "refs/heads/main"
    variables: Mapping[str, str] = field(default_factory=dict)
    """The repository's variables, `vars.NAME`; one that is not given is empty."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One `run:` step with everything that surrounds it."""

    job: str
    name: str
    script: str
    shell: str
    directory: str
    env: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is run, and what is left out with the reason."""

    steps: tuple[Step, ...]
    left_out: tuple[str, ...]


@dataclass
class _Draft:
    steps: list[Step] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def run_file(file: Path, event: Event) -> None:
    """Run a workflow of this repository in a temporary clone.

    Raises:
        PipelineError: `ML-HOST-014` with the job and the step that failed.
    """
    steps = plan(yaml.safe_load(file.read_text()), event)
    for line in steps.left_out:
        print(f"left out: {line}")
    with tempfile.TemporaryDirectory(prefix="mlp-workflow-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(paths.repo_root()), str(clone)], check=True)
        for number, step in enumerate(steps.steps, 1):
            print(f"\n== {number}/{len(steps.steps)} {step.job} / {step.name}", flush=True)
            _run(step, clone, Path(folder) / f"job-{step.job}")
    print(f"\n{len(steps.steps)} steps passed.")


def plan(workflow: Mapping[str, Any], event: Event) -> Plan:
    """The steps in the order in which they run."""
    draft = _Draft()
    conditions = Conditions(event)
    jobs: dict[str, Any] = workflow.get("jobs") or {}
    shared = _strings(workflow.get("env"))
    skipped: set[str] = set()
    for name in ordered(jobs):
        job = jobs[name]
        missing = skipped.intersection(_needs(job))
        if missing or not conditions.hold(job.get("if")):
            reason = f"needs {sorted(missing)}" if missing else f"condition {job['if']!r}"
            skipped.add(name)
            draft.left_out.append(f"job {name} ({reason})")
            continue
        _plan_job(draft, name, job, shared, conditions)
    return Plan(steps=tuple(draft.steps), left_out=tuple(draft.left_out))


def ordered(jobs: Mapping[str, Any]) -> list[str]:
    """Job names so that each comes after what it needs, else in the file's order.

    Raises:
        UsageError: A job needs one that is not there, or itself by a detour.
    """
    done: list[str] = []
    while len(done) < len(jobs):
        ready = [name for name in jobs if name not in done and set(_needs(jobs[name])) <= set(done)]
        if not ready:
            stuck = {name: _needs(jobs[name]) for name in jobs if name not in done}
            message = f"these jobs can never start: {stuck}"
            raise UsageError("ML-HOST-015", message, "every `needs` must name another job, without a circle")
        done.append(ready[0])
    return done


class Conditions:
    """Decides `if:` for the given event. What it cannot decide is an error, never a guess."""

    def __init__(self, event: Event) -> None:
        self._variables = event.variables
        self._facts = {
            "github.event_name": event.name,
            "github.ref": event.ref,
            "github.ref_name": event.ref.removeprefix("refs/heads/").removeprefix("refs/tags/"),
        }

    def hold(self, condition: object) -> bool:
        """Whether the condition is true; it may compare `github.*` with text and use `always()`, `&&`, `||` and `!`."""
        if condition is None or isinstance(condition, bool):
            return condition is not False
        text = EXPRESSION.sub(r"\1", str(condition)).strip()
        return any(all(self._atom(part.strip()) for part in either.split("&&")) for either in text.split("||"))

    def _fact(self, name: str) -> str | None:
        if name.startswith("vars."):
            return self._variables.get(name.removeprefix("vars."), "")
        return self._facts.get(name)

    def fill(self, text: str) -> str:
        """`text` with `${{ github.ref }}` and its like filled in; others become empty, as absent secrets do."""
        return EXPRESSION.sub(lambda found: self._fact(found.group(1)) or "", text)

    def _atom(self, text: str) -> bool:
        if text in {"always()", "success()", "true"}:
            return True
        if text in {"failure()", "cancelled()", "false"}:
            return False
        if text.startswith("!") and not text.startswith("!="):
            return not self._atom(text[1:].strip())
        found = re.fullmatch(r"([\w.]+)\s*(==|!=)\s*'([^']*)'", text)
        fact = self._fact(found.group(1)) if found else None
        if found is None or fact is None:
            message = f"cannot decide the condition {text!r} here"
            raise UsageError(
                "ML-HOST-015", message, "compare github.event_name, github.ref or github.ref_name with text"
            )
        same = fact == found.group(3)
        return same if found.group(2) == "==" else not same


def _plan_job(
    draft: _Draft, name: str, job: Mapping[str, Any], shared: Mapping[str, str], conditions: Conditions
) -> None:
    defaults = (job.get("defaults") or {}).get("run") or {}
    for number, step in enumerate(job.get("steps") or [], 1):
        title = step.get("name") or (step.get("run") or step.get("uses") or "").splitlines()[0] or f"step {number}"
        if "run" not in step:
            draft.left_out.append(f"{name} / {title} (uses {step.get('uses')})")
        elif not conditions.hold(step.get("if")):
            draft.left_out.append(f"{name} / {title} (condition {step['if']!r})")
        else:
            env = {**shared, **_strings(job.get("env")), **_strings(step.get("env"))}
            draft.steps.append(
                Step(
                    job=name,
                    name=title,
                    script=conditions.fill(step["run"]),
                    shell=step.get("shell") or defaults.get("shell") or "bash",
                    directory=step.get("working-directory") or defaults.get("working-directory") or ".",
                    env={key: conditions.fill(value) for key, value in env.items()},
                )
            )


def _run(step: Step, clone: Path, files: Path) -> None:
    options = ["-e", "-o", "pipefail", "-c"] if step.shell == "bash" else ["-e", "-c"]
    started = time.monotonic()
    env = {**_base_environment(files), **step.env}
    command = [step.shell, *options, step.script]
    code = subprocess.run(command, cwd=clone / step.directory, env=env, check=False).returncode
    if code:
        message = f"job {step.job!r}, step {step.name!r} failed with exit code {code}"
        raise PipelineError("ML-HOST-014", message, "its output stands above; the clone is of HEAD: commit first")
    print(f"== passed ({duration(time.monotonic() - started)})", flush=True)


def _base_environment(files: Path) -> dict[str, str]:
    """This machine's environment without what ties it to this checkout, plus the files GitHub gives a job's steps."""
    ours = str(paths.venv_bin())
    tied = {"VIRTUAL_ENV", "PYTHONPATH", *_policy()}
    env = {key: value for key, value in os.environ.items() if key not in tied}
    files.mkdir(exist_ok=True)
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH"):
        env[name] = str(files / name.lower())
        Path(env[name]).touch()
    added = Path(env["GITHUB_PATH"]).read_text().splitlines()
    known = [entry for entry in env.get("PATH", "").split(os.pathsep) if entry != ours]
    env["PATH"] = os.pathsep.join([*reversed(added), *known])
    lines = (line.partition("=") for line in Path(env["GITHUB_ENV"]).read_text().splitlines())
    return env | {"CI": "true"} | {name: value for name, separator, value in lines if separator}


def _policy() -> Sequence[str]:
    return [name for name, value in environment.DEFAULTS.items() if "$repo" in value]


def _needs(job: Mapping[str, Any]) -> list[str]:
    needs = job.get("needs") or []
    return [needs] if isinstance(needs, str) else list(needs)


def _strings(env: object) -> dict[str, str]:
    return dict(_pairs(env)) if isinstance(env, Mapping) else {}


def _pairs(env: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key, value in env.items():
        yield key, str(value).lower() if isinstance(value, bool) else str(value)
