import json
from datetime import UTC, datetime, timedelta

import pytest

from ml.data.letters import DeadLetters, letter
from ml.errors import DataError
from ml.problem import by_package
from ml.tracking.candidate import last_candidate, log_candidate, log_refused
from ml.tracking.session import session
from ml.training.plan import SearchPlan
from ml.training.run import train
from tests.ml.tracking.server import running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings(
        "ignore:::mlflow.*", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
]
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("mlflow")) as started:
        yield {"tracking_uri": started.uri, "username": started.username, "password": started.password}


@pytest.fixture(scope="module")
def candidate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("candidate")
    plan = SearchPlan(trials=4, minutes=5, workers=1)
    problem = by_package("tests.problems.searched")
    return train(problem, "2013-04", out=folder / "out", cached=folder / "train", search=plan)


def test_a_candidate_is_a_run_with_everything_and_no_version(server, candidate, tmp_path):
    run_id = log_candidate(candidate, reason="schedule", now=NOW, **server)

    with session(*server.values()) as client:
        run = client.get_run(run_id)
        curve = client.get_metric_history(run_id, "search_best")
        names = {entry.path for entry in client.list_artifacts(run_id)}
        search = json.loads(open(client.download_artifacts(run_id, "search.json", str(tmp_path))).read())  # noqa: PTH123, SIM115
        versions = client.search_model_versions("name = 'searched'")
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == str(candidate.parameters["seed"])
    assert run.data.params["search.sampler"] == "halton"
    assert {name: run.data.metrics[name] for name in candidate.metrics} == candidate.metrics
    assert run.data.metrics["rows_total"] == run.data.metrics["rows_accepted"] > run.data.metrics["rows_rejected"] == 0
    assert run.data.tags["snapshot_sha256"] == candidate.data["snapshot_sha256"]
    assert names == {"model.onnx", "serving.json", "candidate.json", "search.json", "trials.json"}
    assert search == candidate.search
    values = [point.value for point in sorted(curve, key=lambda point: point.step)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == candidate.search["best"]["value"]
    assert list(versions) == []


def test_the_last_candidate_is_the_newest_that_a_retraining_logged(server, candidate):
    assert last_candidate("nobody", **server) is None
    log_candidate(candidate, reason="drift", now=NOW + timedelta(days=2), **server)
    log_candidate(candidate, reason="person", now=NOW + timedelta(days=3), **server)

    assert last_candidate(candidate.problem, **server) == NOW + timedelta(days=2)


def test_refused_data_are_a_failed_run_with_the_rejected_rows_and_no_candidate(server, tmp_path):
    store = DeadLetters(tmp_path / "letters")
    store.add([letter("here", 1, ["heat:above_maximum"], {"heat": 9}, "2026-01-31T12:00:00Z")])
    error = DataError("ML-DATA-004", "9 rows break the contract", "correct the source")
    run_id = log_refused("refused", error, reason="schedule", now=NOW, letters=store.file(), **server)

    with session(*server.values()) as client:
        run = client.get_run(run_id)
        (kept,) = client.list_artifacts(run_id, "dead-letters")
    assert (run.info.status, run.data.tags["refused"]) == ("FAILED", "ML-DATA-004")
    assert kept.path == f"dead-letters/{store.file().name}"
    assert last_candidate("refused", **server) is None
