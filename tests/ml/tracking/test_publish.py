import contextlib
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ml.errors import ConfigError, GateError, TransientError
from ml.release.example import example
from ml.tracking.publish import publish
from ml.tracking.session import session
from tests.ml.tracking.server import running

pytestmark = [
    pytest.mark.integration,
    # mlflow's own imports and its SQLAlchemy pool; ours raise as everywhere.
    pytest.mark.filterwarnings(
        "ignore:::mlflow.*", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
]


@dataclass(frozen=True)
class FakeRelease:
    id: str
    directory: Path
    record: dict


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("mlflow")) as started:
        yield started


@pytest.fixture
def release(tmp_path, request):
    problem = f"problem-{abs(hash(request.node.name)) % 10**8}"
    record = example(lambda fields: fields.update(problem=problem, release=f"{problem}-0001"))
    (tmp_path / "record.json").write_text(json.dumps(record))
    (tmp_path / "model.onnx").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "serving.json").write_text("{}")
    return FakeRelease(id=record["release"], directory=tmp_path, record=record)


def _publish(server, release, alias=None):
    return publish(release, tracking_uri=server.uri, username=server.username, password=server.password, alias=alias)


@contextlib.contextmanager
def _client(server):
    with session(server.uri, server.username, server.password) as client:
        yield client


def _versions(client, release):
    return client.search_model_versions(f"name = '{release.record['problem']}'")


def _runs(client, release):
    experiment = client.get_experiment_by_name(release.record["problem"])
    return client.search_runs([experiment.experiment_id])


def test_a_release_becomes_one_run_with_its_facts_and_one_registered_version(server, release):
    result = _publish(server, release, alias="champion")

    with _client(server) as client:
        run = client.get_run(result.run_id)
        assert run.data.metrics == release.record["metrics"]
        assert run.data.params["max_iter"] == "200"
        assert run.data.tags["record_digest"] == release.record["digest"]
        assert run.info.status == "FINISHED"
        assert {entry.path for entry in client.list_artifacts(result.run_id)} == {
            "record.json",
            "model.onnx",
            "serving.json",
        }
        version = client.get_model_version_by_alias(release.record["problem"], "champion")
        assert (version.version, version.tags["release"]) == (result.version, release.id)
        assert version.run_id == result.run_id


def test_publishing_twice_changes_nothing(server, release):
    first = _publish(server, release, alias="champion")

    assert _publish(server, release, alias="champion") == first
    with _client(server) as client:
        assert (len(_runs(client, release)), len(_versions(client, release))) == (1, 1)
        assert len(client.get_metric_history(first.run_id, "accuracy")) == 1


class Killed(BaseException):
    """No handler of ours may swallow it, as none can swallow a SIGKILL."""


class Dying:
    """A client that dies right after each change to the server, once for each."""

    changes = frozenset(
        [
            "create_experiment",
            "create_run",
            "log_batch",
            "log_artifact",
            "set_terminated",
            "create_registered_model",
            "create_model_version",
            "set_registered_model_alias",
        ]
    )

    def __init__(self, client, seen):
        self.client, self.seen = client, seen

    def __getattr__(self, name):
        def call(*args, **kwargs):
            result = getattr(self.client, name)(*args, **kwargs)
            if name in self.changes and (name, args) not in self.seen:
                self.seen.add((name, args))
                raise Killed
            return result

        return call


def test_killed_after_each_change_it_ends_with_one_run_and_one_version(server, release, monkeypatch):
    seen = set()

    @contextlib.contextmanager
    def dying_session(*args):
        with session(*args) as client:
            yield Dying(client, seen)

    # The package offers the function under the module's name, so the module is found through the import table.
    monkeypatch.setattr(sys.modules[publish.__module__], "session", dying_session)
    result = None
    while result is None:
        with contextlib.suppress(Killed):
            result = _publish(server, release, alias="champion")
    monkeypatch.undo()

    assert len(seen) == 10  # three of them are files
    with _client(server) as client:
        assert (len(_runs(client, release)), len(_versions(client, release))) == (1, 1)
        assert client.get_run(result.run_id).data.metrics == release.record["metrics"]
        assert client.get_model_version_by_alias(release.record["problem"], "champion").version == result.version


def test_a_file_that_arrived_damaged_is_sent_again(server, release):
    result = _publish(server, release)
    (stored,) = (server.folder / "artifacts").glob(f"*/{result.run_id}/artifacts/model.onnx")
    whole = stored.read_bytes()
    stored.write_bytes(whole[:100])

    _publish(server, release)

    assert stored.read_bytes() == whole


def test_another_record_under_the_same_id_is_refused(server, release):
    _publish(server, release)
    other = replace(release, record={**release.record, "digest": "c" * 64})

    with pytest.raises(GateError, match="ML-TRACK-004"):
        _publish(server, other)


def test_the_alias_moves_only_when_asked(server, release):
    first = _publish(server, release, alias="champion")
    name = release.record["problem"]
    later = replace(release, id=f"{name}-0002", record={**release.record, "digest": "d" * 64})

    second = _publish(server, later)
    with _client(server) as client:
        assert client.get_model_version_by_alias(name, "champion").version == first.version
    _publish(server, later, alias="champion")

    with _client(server) as client:
        assert client.get_model_version_by_alias(name, "champion").version == second.version != first.version


def test_wrong_credentials_are_one_clear_error_without_the_password(server, release):
    with pytest.raises(ConfigError, match="ML-TRACK-001") as caught:
        publish(release, tracking_uri=server.uri, username="operator", password="not-this-one-at-all", alias=None)

    assert "not-this-one" not in str(caught.value)


def test_a_server_that_is_gone_is_a_transient_error(release, monkeypatch):
    monkeypatch.setattr("ml.tracking.session._RETRIES", 0)

    with pytest.raises(TransientError, match="ML-TRACK-002"):
        publish(release, tracking_uri="http://127.0.0.1:9", username="a", password="b", alias=None)


def test_the_credentials_are_in_the_environment_only_while_the_client_is_used(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "before")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD", raising=False)

    with _client(server):
        assert os.environ["MLFLOW_TRACKING_PASSWORD"] == server.password

    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "before"
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ
