"""Retraining in the cluster, as it is asked for: by schedule, by a drift alert that really fires, and by a person.

Not part of `make test`: some 15 minutes. `make e2e-retraining`. Nobody makes a release here: what is shown is that the
candidate is one that a release can be made of, that it is rate-limited, and that nothing of it touches traffic.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.jobs import ask_for
from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING, eventually, prometheus, resource_versions
from tests.e2e.traffic import predict
from tests.e2e.two_releases import FIRST, PORT, api_key, golden_rows

pytestmark = pytest.mark.e2e

SETTINGS = {"retrain": "0 4 2 * *", "retrainOnDrift": "true", "trials": "2", "minutes": "10"}
ROWS = 300_000  # of the year, by the contract; some 9,000 have no label
SPOILED = 40
STUCK = 3000  # calls of one and the same flight
FIRING = 'ALERTS{alertname="DriftAlarm",alertstate="firing"}'
REFUSED_FIRING = 'ALERTS{alertname="DeadLettersHigh",job="retrain",alertstate="firing"}'
SPOIL = """
import sys
from dataclasses import replace
from ml.training import retrain
real = retrain.by_package
def spoiled(package):
    problem = real(package)
    def load(first, last):
        table = problem.load(first, last)
        table.loc[table.index[:%d], "distance"] = -1
        return table
    return replace(problem, load=load)
retrain.by_package = spoiled
sys.exit(retrain.main())
"""
"""What trains, from a source whose first so many flights are of a distance that there is not."""
TYPED = (
    "kubectl -n ml-staging create job retrain-now --from=cronjob/retrain --dry-run=client -o json "
    "| sed -E 's/--reason=(schedule|drift)/--reason=forced/' | kubectl -n ml-staging apply -f -"
)
"""What docs/training.md says a person types."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What a Job said, and the run that MLflow has of it."""

    said: dict[str, Any]
    run: dict[str, Any]
    files: Path


def ended(machine: Machine, job: str) -> dict[str, Any]:
    """Wait for a Job's end; the one line that it printed."""

    def over() -> bool:
        status = machine.kubectl("get", "job", job, "-n", STAGING)["status"]
        assert not status.get("failed"), machine.text("kubectl", "logs", "-n", STAGING, f"job/{job}")[-3000:]
        return bool(status.get("succeeded"))

    eventually(over, 900)
    return printed(machine, job)


def printed(machine: Machine, job: str) -> dict[str, Any]:
    """The one line of JSON."""
    lines = machine.text("kubectl", "logs", "-n", STAGING, f"job/{job}").splitlines()
    return dict(json.loads(next(line for line in lines if line.startswith('{"'))))


def asked(machine: Machine, job: str, cronjob: str) -> dict[str, Any]:
    """What comes of it when a CronJob's time has come."""
    machine.run("kubectl", "create", "job", job, "-n", STAGING, f"--from=cronjob/{cronjob}")
    return ended(machine, job)


def spoiled(machine: Machine, job: str, rows: int) -> None:
    """The CronJob's own Job, with a source that is spoiled."""
    command = ("kubectl", "create", "job", job, "-n", STAGING, "--from=cronjob/retrain", "--dry-run=client")
    made = json.loads(machine.text(*command, "-o", "json"))
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["command"] = ["python3", "-c", SPOIL % rows]
    container["args"] = [word.replace("schedule", "forced") for word in container["args"]]
    file = machine.home / f"{job}.json"
    file.write_text(json.dumps(made))
    machine.run("kubectl", "create", "-f", str(file))


def in_mlflow(machine: Machine, said: dict[str, Any], folder: Path) -> Candidate:
    """The run and its files."""
    script = (
        "import json, sys, mlflow\n"
        "c = mlflow.MlflowClient('http://127.0.0.1:30500')\n"
        "run = c.get_run(sys.argv[1])\n"
        "mlflow.artifacts.download_artifacts(run_id=sys.argv[1], dst_path=sys.argv[2], tracking_uri=c.tracking_uri)\n"
        "versions = [v.run_id for v in c.search_model_versions(\"name='flights'\")]\n"
        "facts = {'status': run.info.status, 'tags': run.data.tags, 'metrics': run.data.metrics}\n"
        "print(json.dumps(facts | {'registered': sys.argv[1] in versions}))"
    )
    login = {
        "MLFLOW_TRACKING_USERNAME": "operator",
        "MLFLOW_TRACKING_PASSWORD": machine.secret("mlp", "mlflow-password", "--stack", "staging"),
    }
    out = machine.run("python", "-c", script, said["run"], str(folder), **login).stdout
    return Candidate(said=said, run=json.loads(out.splitlines()[-1]), files=folder)


@pytest.fixture(scope="module")
def stack(machine: Machine) -> Machine:
    machine.run("make", "up", timeout_s=45 * 60)
    ask_for(machine, "training", SETTINGS)
    return machine


@pytest.fixture(scope="module")
def served(stack: Machine) -> Any:
    """What the cluster was before anybody trained in it."""
    return resource_versions(stack)


@pytest.fixture(scope="module")
def scheduled(stack: Machine, served: Any, tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    said = asked(stack, "retrain-scheduled", "retrain")
    return in_mlflow(stack, said, tmp_path_factory.mktemp("scheduled"))


def test_the_schedule_makes_a_candidate_that_is_no_version(scheduled: Candidate) -> None:
    assert scheduled.said["retrained"] is True
    assert scheduled.run["status"] == "FINISHED"
    assert scheduled.run["tags"]["candidate_reason"] == "schedule"
    assert scheduled.run["tags"]["model_sha256"] == scheduled.said["model_sha256"]
    assert scheduled.run["metrics"]["roc_auc"] == scheduled.said["metrics"]["roc_auc"] > 0.65
    assert scheduled.run["registered"] is False


def test_its_search_makes_the_same_model_where_releases_are_made(stack: Machine, scheduled: Candidate) -> None:
    search = scheduled.files / "search.json"
    through = scheduled.said["through"]
    stack.run("mlp", "train", "--through", through, "--search", str(search), "--out", "again", timeout_s=600)

    assert (stack.clone / "again/model.onnx").read_bytes() == (scheduled.files / "model.onnx").read_bytes()


def test_prometheus_knows_where_its_rows_went_although_the_pod_is_gone(stack: Machine, scheduled: Candidate) -> None:
    accepted = 'ml_data_rows{job="retrain",outcome="accepted"}'
    eventually(lambda: prometheus(stack, accepted) > ROWS, 90)

    assert prometheus(stack, 'ml_data_contract_held{job="retrain"}') == 1
    assert prometheus(stack, accepted) == scheduled.run["metrics"]["rows_accepted"]
    assert prometheus(stack, 'ml_data_rows{job="retrain",outcome="rejected"}') == 0


def test_the_next_one_on_the_same_day_is_not_made(stack: Machine, scheduled: Candidate) -> None:
    again = asked(stack, "retrain-again", "retrain")

    assert again["retrained"] is False
    assert "at most one in 24 h" in again["why"]


def test_drift_asks_for_one_only_while_the_alert_fires(stack: Machine, scheduled: Candidate) -> None:
    calm = asked(stack, "retrain-calm", "retrain-on-drift")
    key = api_key(stack)
    body = json.dumps({"features": golden_rows(stack)[0]})
    seen = prometheus(stack, "sum(ml_predictions_total)")
    for _ in range(STUCK):
        predict(PORT, key, body)
    eventually(lambda: prometheus(stack, "sum(ml_predictions_total)") >= seen + STUCK, 90)
    stack.run("kubectl", "create", "job", "drift-check-stuck", "-n", STAGING, "--from=cronjob/drift-check")
    eventually(lambda: prometheus(stack, FIRING) == 1, 240)
    alarmed = asked(stack, "retrain-alarmed", "retrain-on-drift")

    assert calm == {"retrained": False, "why": "the drift alert does not fire"}
    # It would train, were there not today's candidate: an alert that stays must not train all day.
    assert "at most one in 24 h" in alarmed["why"]


def test_a_person_may_insist(stack: Machine, scheduled: Candidate, tmp_path: Path) -> None:
    stack.run("bash", "-c", TYPED)
    forced = in_mlflow(stack, ended(stack, "retrain-now"), tmp_path)

    assert forced.run["tags"]["candidate_reason"] == "forced"
    assert forced.said["model_sha256"] == scheduled.said["model_sha256"]


def test_rejected_rows_are_dead_letters_that_outlive_the_pod(stack: Machine, served: Any, tmp_path: Path) -> None:
    spoiled(stack, "retrain-some", SPOILED)
    candidate = in_mlflow(stack, ended(stack, "retrain-some"), tmp_path)
    letters = [line for path in (tmp_path / "dead-letters").iterdir() for line in path.read_text().splitlines()]

    rejected = candidate.run["metrics"]["rows_rejected"]

    assert SPOILED / 2 < rejected <= SPOILED, "one that was cancelled is dropped before anybody looks at its distance"
    assert len([line for line in letters if "distance:below_minimum" in line]) == rejected
    eventually(lambda: prometheus(stack, 'sum(ml_data_dead_letters{job="retrain"})') == rejected, 90)


def test_a_source_that_is_wrong_as_a_whole_trains_nothing_and_alarms(stack: Machine, served: Any) -> None:
    spoiled(stack, "retrain-none", 400_000)
    eventually(lambda: prometheus(stack, REFUSED_FIRING) == 1, 300)
    eventually(lambda: stack.kubectl("get", "job", "retrain-none", "-n", STAGING)["status"].get("failed") == 2, 120)
    logs = stack.text("kubectl", "logs", "-n", STAGING, "-l", "job-name=retrain-none", "--tail=-1")

    assert logs.count("ML-DATA-003") == 2, "tried again once, for what may pass"
    assert "Traceback" not in logs
    assert '"retrained"' not in logs


def test_nothing_of_it_touched_the_cluster_or_the_traffic(stack: Machine, served: Any) -> None:
    body = json.dumps({"features": golden_rows(stack)[0]})

    assert resource_versions(stack) == served
    assert predict(PORT, api_key(stack), body)["model_version"] == FIRST
