"""The workflows call what a person calls, in the right order, with the least rights."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.meta.commands import ROOT, make_targets, missing_command
from toolchain.workflow import Event, plan

FOLDER = ROOT / ".github" / "workflows"
ACTIONLINT = ROOT / ".venv" / "bin" / "actionlint"
FILES = sorted(FOLDER.glob("*.yml"))
# Writing to the forge is no part of the pipeline; only these two workflows do it, and only with its own tools.
FORGE_STEPS = {"preview.yml": "Write or edit the comment", "promote.yml": "Ask for a review"}


def load(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text())
    content["on"] = content.pop(True)  # YAML 1.1 reads the key `on` as a boolean
    return content


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_the_four_jobs_run_one_after_the_other() -> None:
    jobs = load(FOLDER / "pipeline.yml")["jobs"]

    assert list(jobs) == ["data-validation", "training", "testing", "deploy-staging"]
    assert [job.get("needs") for job in jobs.values()] == [None, "data-validation", "training", "testing"]


def test_the_whole_pipeline_can_be_run_on_this_machine() -> None:
    planned = plan(load(FOLDER / "pipeline.yml"), Event())

    assert [line for line in planned.left_out if line.startswith("job ")] == []
    assert list(dict.fromkeys(step.job for step in planned.steps)) == [
        "data-validation",
        "training",
        "testing",
        "deploy-staging",
    ]
    assert planned.steps[-1].script == "make up STACK=staging"


def test_a_pull_request_is_tested_and_not_deployed() -> None:
    planned = plan(load(FOLDER / "pipeline.yml"), Event(name="pull_request", ref="refs/pull/7/merge"))

    assert {step.job for step in planned.steps} == {"data-validation", "training", "testing"}


def test_only_main_is_deployed() -> None:
    condition = load(FOLDER / "pipeline.yml")["jobs"]["deploy-staging"]["if"]

    assert "github.ref == 'refs/heads/main'" in condition
    assert "github.event_name == 'push'" in condition


def test_every_step_is_a_command_that_exists(path: Path) -> None:
    for step in steps(load(path)):
        if "run" not in step or step.get("name") == FORGE_STEPS.get(path.name):
            continue
        words = shlex.split(step["run"].strip(), comments=True)
        assert words[0] in ("make", ".venv/bin/mlp", ".venv/bin/pulumi"), f"{path.name}: {step['run']!r}"
        assert "\n" not in step["run"].strip(), f"{path.name}: one command a step, so that `make workflow` can run it"
        assert missing_command([words[0].removeprefix(".venv/bin/"), *words[1:]]) is None


def test_every_action_is_pinned_to_a_commit(path: Path) -> None:
    for step in steps(load(path)):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"]), step["uses"]


def test_rights_time_and_parallel_runs_are_bounded(path: Path) -> None:
    workflow = load(path)

    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert workflow["concurrency"]["group"]
    for name, job in workflow["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 60, name


def test_a_secret_is_seen_only_by_the_step_that_needs_it(path: Path) -> None:
    workflow = load(path)
    for step in steps(workflow):
        for value in step.get("env", {}).values():
            if "secrets." in str(value):
                assert re.match(r"make (up|preview)|\.venv/bin/mlp promote", step["run"])
        assert "secrets." not in str({key: value for key, value in step.items() if key != "env"})
    outside = {name: {k: v for k, v in job.items() if k != "steps"} for name, job in workflow["jobs"].items()}
    assert "secrets." not in str({**workflow, "jobs": outside})


def test_no_value_from_outside_is_pasted_into_a_script(path: Path) -> None:
    for step in steps(load(path)):
        assert "${{" not in step.get("run", ""), step


def test_a_deployment_is_never_cancelled_half_way() -> None:
    assert load(FOLDER / "pipeline.yml")["jobs"]["deploy-staging"]["concurrency"]["cancel-in-progress"] is False
    assert load(FOLDER / "prod.yml")["concurrency"]["cancel-in-progress"] is False


def test_production_is_promoted_by_a_person_and_deployed_by_a_merge() -> None:
    assert set(load(FOLDER / "promote.yml")["on"]) == {"workflow_dispatch"}
    assert load(FOLDER / "prod.yml")["on"] == {"push": {"branches": ["main"], "paths": ["Pulumi.prod.yaml"]}}
    assert load(FOLDER / "prod.yml")["jobs"]["deploy-prod"]["environment"] == "prod"


def _actionlint(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ACTIONLINT, *files], cwd=ROOT, text=True, capture_output=True, check=False)


def test_actionlint_finds_nothing() -> None:
    assert ACTIONLINT.is_file(), "run: make setup"
    done = _actionlint(*FILES)

    assert (done.returncode, done.stdout) == (0, "")


def test_actionlint_would_have_found_a_job_that_needs_another_one_that_is_not_there(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text((FOLDER / "pipeline.yml").read_text().replace("needs: testing", "needs: tasting"))

    assert _actionlint(broken).returncode == 1


FAKE_GH = """\
#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in *--paginate*) printf "%s" "$IDS";; esac
"""


@pytest.mark.parametrize(
    ("ids", "call"),
    [
        ("", "--method POST repos/team/models/issues/7/comments"),
        ("11", "--method PATCH repos/team/models/issues/comments/11"),
        ("11\n12\n", "--method PATCH repos/team/models/issues/comments/11"),
    ],
)
def test_the_comment_is_written_once_and_edited_afterwards(tmp_path: Path, ids: str, call: str) -> None:
    step = next(s for s in steps(load(FOLDER / "preview.yml")) if s.get("name") == FORGE_STEPS["preview.yml"])
    (tmp_path / "comment.md").write_text("<!-- ml-pipeline:preview:staging -->\n\n## fine\n")
    gh = tmp_path / "gh"
    gh.write_text(FAKE_GH)
    gh.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"), "IDS": ids}
    environment |= {"REPOSITORY": "team/models", "NUMBER": "7"}
    subprocess.run(["bash", "-e", "-o", "pipefail", "-c", step["run"]], cwd=tmp_path, env=environment, check=True)

    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert call in calls[1]
    assert "body=@comment.md" in calls[1]


def test_the_makefile_has_the_targets_that_the_workflows_name() -> None:
    assert {"setup", "check", "up", "preview"} <= make_targets()
