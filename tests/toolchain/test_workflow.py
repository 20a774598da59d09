"""The steps of a workflow, in order, in a clean clone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import UsageError
from toolchain import paths, workflow
from toolchain.workflow import Conditions, Event

WORKFLOW = """
name: small
on: {push: {branches: [main]}}
env: {LEVEL: workflow, BOTH: workflow}
jobs:
  last:
    needs: [middle]
    steps:
      - run: echo "last sees $(cat "$TRACE")" && echo last >> "$TRACE"
  first:
    env: {BOTH: job}
    steps:
      - uses: actions/checkout@v4
      - name: Write
        run: |
          test -f pyproject.toml
          test -d .git
          echo "first $LEVEL $BOTH $STEP" >> "$TRACE"
          echo "CARRIED=over" >> "$GITHUB_ENV"
        env: {STEP: step}
      - run: echo "carried $CARRIED" >> "$TRACE"
        working-directory: ml
  middle:
    needs: first
    steps:
      - name: Only for pull requests
        if: github.event_name == 'pull_request'
        run: echo pr >> "$TRACE"
      - run: echo "on ${{ github.ref_name }}" >> "$TRACE"
  deploy:
    needs: last
    if: ${{ github.event_name == 'pull_request' && vars.WHERE != '' }}
    steps:
      - run: echo "deploy to ${{ vars.WHERE }}" >> "$TRACE"
"""


def run(file: Path, *options: str, trace: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "toolchain", "workflow", str(file), *options],
        cwd=paths.repo_root(),
        env={**os.environ, "TRACE": str(trace)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_jobs_run_in_the_order_of_their_needs_in_a_clean_clone(tmp_path: Path) -> None:
    file = tmp_path / "small.yml"
    file.write_text(WORKFLOW)
    trace = tmp_path / "trace"

    done = run(file, trace=trace)

    assert done.returncode == 0, done.stdout + done.stderr
    assert trace.read_text().splitlines() == ["first workflow job step", "carried over", "on main", "last"]
    assert "left out: first / actions/checkout@v4 (uses actions/checkout@v4)" in done.stdout
    assert "left out: middle / Only for pull requests" in done.stdout
    assert "left out: job deploy" in done.stdout
    assert "4 steps passed" in done.stdout


def test_the_event_and_variables_decide_conditions(tmp_path: Path) -> None:
    file = tmp_path / "small.yml"
    file.write_text(WORKFLOW)
    trace = tmp_path / "trace"

    done = run(file, "--event", "pull_request", "--var", "WHERE=here", trace=trace)

    assert done.returncode == 0, done.stdout + done.stderr
    assert {"pr", "deploy to here"} <= set(trace.read_text().splitlines())


def test_the_first_failure_ends_it_and_names_job_and_step(tmp_path: Path) -> None:
    file = tmp_path / "small.yml"
    file.write_text(
        "jobs:\n  a:\n    steps:\n      - {name: Fine, run: 'true'}\n      - {name: Broken, run: 'false | cat'}\n"
        "      - {name: Never, run: 'touch \"$TRACE\"'}\n"
    )

    done = run(file, trace=tmp_path / "trace")

    assert done.returncode == 1
    assert "ML-HOST-014: job 'a', step 'Broken' failed with exit code 1" in done.stderr
    assert not (tmp_path / "trace").exists()


def test_a_circle_of_jobs_is_refused() -> None:
    with pytest.raises(UsageError, match="never start"):
        workflow.ordered({"a": {"needs": "b"}, "b": {"needs": ["a"]}})


def test_a_condition_that_cannot_be_decided_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot decide"):
        Conditions(Event()).hold("contains(github.ref, 'x')")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (None, True),
        (True, True),
        ("github.event_name == 'push'", True),
        ("github.event_name != 'push'", False),
        ("github.ref == 'refs/heads/main' && github.event_name == 'push'", True),
        ("github.event_name == 'x' || github.ref_name == 'main'", True),
        ("!failure()", True),
        ("always()", True),
        ("vars.NOTHING != ''", False),
    ],
)
def test_conditions(condition: object, *, holds: bool) -> None:
    assert Conditions(Event()).hold(condition) is holds


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.lists(st.integers(0, 5), max_size=3), max_size=6))
def test_every_order_respects_needs(raw: dict[str, list[int]]) -> None:
    names = list(raw)
    jobs = {name: {"needs": [names[n] for n in raw[name] if n < names.index(name)]} for name in names}

    order = workflow.ordered(jobs)

    assert sorted(order) == sorted(names)
    assert all(order.index(need) < order.index(name) for name in names for need in jobs[name]["needs"])


def test_the_pipelines_own_workflows_can_be_planned() -> None:
    files = sorted((paths.repo_root() / ".github" / "workflows").glob("*.yml"))

    plans = [workflow.plan(yaml.safe_load(file.read_text()), Event()) for file in files if file.name == "pipeline.yml"]

    assert [[step.job for step in plan.steps] for plan in plans] != [[]]
