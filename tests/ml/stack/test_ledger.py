"""The ledger in the cluster: written once for each change, by one of many writers, and never rewritten."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ml.cli.release import app
from ml.errors import GateError, PipelineError, TransientError, UsageError
from ml.release import store
from ml.stack import cluster, entries, ledger
from ml.stack.publish import publish
from ml.stack.slots import Held, State
from tests.ml.release.folders import write_release
from tests.ml.stack.fakes import Namespace, api_server

FIRST, SECOND = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in (1, 2):
        made = f"2013-0{number}-01T00:00:00Z"
        write_release(tmp_path, f"flights-000{number}", lambda r, made=made: r.update(created_at=made))
    (tmp_path / "Pulumi.staging.yaml").write_text("config:\n  ml-pipeline:live: blue\n")
    return tmp_path


def switch(space: Namespace, root: Path, slot: str, release: str) -> None:
    space.slot(slot, release, record_digest=store.load(root, release).digest)
    space.live(slot)


def record(root: Path, space: Any, now: datetime = FIRST) -> Any:
    return ledger.record(root, "staging", space, now=now, who="me")


def releases(space: Namespace) -> list[str]:
    return [entry.release for entry in entries.entries(space, "staging")]


def test_each_switch_is_one_entry_and_the_same_call_adds_none(root: Path) -> None:
    space = Namespace()
    assert record(root, space) is None

    switch(space, root, "blue", "flights-0001")
    assert record(root, space).seq == 1
    assert record(root, space, SECOND).time == "2026-01-01T12:00:00Z"
    switch(space, root, "green", "flights-0002")
    record(root, space, SECOND)
    space.live("blue")
    back = record(root, space, SECOND)

    assert releases(space) == ["flights-0001", "flights-0002", "flights-0001"]
    assert (back.event, back.slot, back.who) == ("rolled-back", "blue", "me")
    assert all(manifest["immutable"] for (kind, _), manifest in space.objects.items() if kind == "configmap")


class Racing(Namespace):
    """Somebody else writes each number a moment earlier, `times` times."""

    def __init__(self, space: Namespace, root: Path, times: int) -> None:
        super().__init__()
        self.objects, self.root, self.times = space.objects, root, times

    def create(self, kind: str, manifest: Mapping[str, Any]) -> bool:
        if self.times:
            self.times -= 1
            other = ("flights-0001", "flights-0002")[self.times % 2]
            plain = Namespace()
            plain.objects = {**self.objects}
            switch(plain, self.root, "blue", other)
            ledger.record(self.root, "staging", plain, now=FIRST, who="somebody else")
            self.objects |= {key: value for key, value in plain.objects.items() if key[0] == "configmap"}
        return super().create(kind, manifest)


def test_of_two_writers_at_once_both_end_in_one_chain(root: Path) -> None:
    space = Namespace()
    switch(space, root, "green", "flights-0002")

    racing = Racing(space, root, times=1)
    record(root, racing, SECOND)

    assert [entry.who for entry in entries.entries(racing, "staging")] == ["somebody else", "me"]


def test_a_writer_that_always_comes_too_late_says_so(root: Path) -> None:
    space = Namespace()
    switch(space, root, "green", "flights-0002")
    space.objects["deployment", "model-green"]["spec"]["template"]["spec"]["containers"][0]["image"] = "x"

    with pytest.raises(TransientError) as refused:
        record(root, Racing(space, root, times=99))
    assert refused.value.code == "ML-REL-152"


def test_a_ledger_that_was_changed_gets_no_new_entry(root: Path) -> None:
    space = Namespace()
    for slot, release in (("blue", "flights-0001"), ("green", "flights-0002")):
        switch(space, root, slot, release)
        record(root, space)
    kept = space.objects["configmap", "release-ledger-000001"]["data"]
    kept["entry.json"] = kept["entry.json"].replace('"who": "me"', '"who": "you"')
    space.live("blue")
    before = dict(space.objects)

    with pytest.raises(GateError) as refused:
        record(root, space, SECOND)
    assert refused.value.code == "ML-REL-151"
    assert "entry 2 of the ledger names another hash" in str(refused.value)
    assert space.objects == before


def test_a_record_that_the_checkout_does_not_have_is_not_written_down(root: Path) -> None:
    space = Namespace()
    space.slot("blue", "flights-0001", record_digest="e" * 64)
    space.live("blue")

    with pytest.raises(GateError) as refused:
        record(root, space)
    assert refused.value.code == "ML-REL-153"
    assert not [key for key in space.objects if key[0] == "configmap"]


def test_mlflow_is_told_after_the_ledger_and_from_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, told = Namespace(), []
    space.secret("mlflow-auth", username="operator", password="x")
    switch(space, root, "blue", "flights-0001")
    state = State(slots={"blue": Held(release="flights-0001"), "green": Held(release="flights-0002")}, live="green")

    def show(release: store.Release, **given: Any) -> Any:
        assert releases(space) == ["flights-0001"]
        told.append((release.id, given["alias"], given["tags"].get("ledger_seq")))
        return type("Result", (), {"version": "1", "run_id": "r"})

    monkeypatch.setattr("ml.tracking.publish", show)
    monkeypatch.setattr("ml.stack.publish.tracking_uri", lambda *_: "http://127.0.0.1:1")
    lines = publish(root, "staging", state, space, lambda step: None)

    assert told == [("flights-0002", None, None), ("flights-0001", "champion", "1")]
    assert lines[0].startswith("ledger of staging: entry 1, flights-0001, hash ")


def test_who_is_the_workflows_actor_or_whom_git_names(tmp_path: Path) -> None:
    assert ledger.actor(tmp_path, {"GITHUB_ACTOR": "octocat"}) == "octocat"
    assert ledger.actor(tmp_path, {})


def run(root: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--root", str(root)])


def test_history_and_live_at_answer_from_the_cluster(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Namespace()
    monkeypatch.setenv("MLP_KUBECONFIG", str(tmp_path / "kubeconfig"))
    with api_server({"ml-staging": space}, tmp_path / "kubeconfig"):
        assert "nothing was ever live" in run(root, "history").output
        real = cluster.objects("staging", "")
        for slot, release, now in (("blue", "flights-0001", FIRST), ("green", "flights-0002", SECOND)):
            switch(space, root, slot, release)
            record(root, real, now)

        shown = run(root, "history").output
        assert shown.index("flights-0001") < shown.index("flights-0002") < shown.index("the chain holds")
        assert [entry["seq"] for entry in json.loads(run(root, "history", "--json").output)] == [1, 2]
        assert run(root, "live-at", "2026-01-02").output.startswith("flights-0001 in slot blue")
        assert run(root, "live-at", "2026-01-02T13:00:00+01:00").output.startswith("flights-0002 in slot green")
        none, odd = run(root, "live-at", "2025-12-31").exception, run(root, "live-at", "yesterday").exception

    assert [(type(error), error.code) for error in (none, odd) if isinstance(error, PipelineError)] == [
        (UsageError, "ML-REL-155"), (UsageError, "ML-REL-154"),
    ]  # fmt: skip


def test_the_api_server_gives_a_name_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = {"metadata": {"name": "release-ledger-000001"}, "data": {"a": "1"}}
    monkeypatch.setenv("MLP_KUBECONFIG", str(tmp_path / "kubeconfig"))
    with api_server({"ml-staging": Namespace()}, tmp_path / "kubeconfig"):
        found = cluster.objects("staging", "")

        assert found.create("configmap", manifest)
        assert not found.create("configmap", {**manifest, "data": {"a": "2"}})
        assert found.every("configmap")[0]["data"] == {"a": "1"}
