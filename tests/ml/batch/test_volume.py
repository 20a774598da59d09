"""Files to and from a run's volume: what would run in the pod runs here."""

import sys

import pytest

from infra.cluster import Cluster
from ml.batch.gather import gather
from ml.batch.worker import open_run, predict_shard
from ml.errors import SurroundingsError, UsageError
from ml.stack import volume
from tests.ml.batch.runs import a_run, write_input


class Local(volume.Kubectl):
    """Runs what would run in the pod here; remembers the rest, and may fail at it."""

    asked: list[tuple[str, ...]] = []  # noqa: RUF012  (one list for a frozen value)
    fails_at = ""

    def command(self, *words: str) -> list[str]:
        self.asked.append(words)
        if self.fails_at in words:
            return [sys.executable, "-c", "raise SystemExit('no such thing')"]
        if words[0] != "exec":
            return ["true"]
        return [sys.executable, *words[words.index("--") + 2 :]]


@pytest.fixture
def kubectl(tmp_path):
    Local.asked = []
    return Local(cluster=Cluster(kubeconfig=tmp_path, context="test", node_host="x"), namespace="ml-staging")


@pytest.mark.integration
def test_a_file_goes_to_the_volume_whole_and_a_complete_run_comes_back(tmp_path, kubectl, bundle):
    source = write_input(tmp_path / "in.parquet", 20, {3})
    place = tmp_path / "volume"
    with volume.reached(kubectl, {"metadata": {"name": "files"}}) as pod:
        volume.put(kubectl, pod, source, str(place / "deep/in.parquet"))
    run = a_run(place / "deep/in.parquet", place / "june", bundle, 2)
    with pytest.raises(SurroundingsError, match="ML-BATCH-012"):
        volume.get(kubectl, "files", str(place / "june"), tmp_path / "got")
    for index in range(2):
        predict_shard(open_run(run), index)
    gather(open_run(run), 1.0)

    summary = volume.get(kubectl, "files", str(place / "june"), tmp_path / "got")

    assert (place / "deep/in.parquet").read_bytes() == source.read_bytes()
    assert (summary["rows"], summary["dead"]) == (20, 1)
    assert {str(path.relative_to(tmp_path / "got")) for path in (tmp_path / "got").rglob("*") if path.is_file()} == {
        *("part-00000-of-00002.parquet", "part-00001-of-00002.parquet", "_dead/part-00000-of-00002.jsonl"),
        "_summary.json",
    }
    assert [words[0] for words in kubectl.asked[:4]] == ["create", "wait", "exec", "delete"]
    with pytest.raises(UsageError, match="ML-BATCH-014"):
        volume.get(kubectl, "files", str(place / "june"), tmp_path / "got")


@pytest.mark.parametrize("fails_at", ["wait", "exec"])
def test_the_pod_is_removed_when_something_fails(tmp_path, kubectl, monkeypatch, fails_at):
    monkeypatch.setattr(Local, "fails_at", fails_at)
    (tmp_path / "file").write_text("x")

    with (
        pytest.raises(SurroundingsError, match=r"ML-CLUSTER-023: kubectl \w+: no such thing"),
        volume.reached(kubectl, {"metadata": {"name": "files"}}) as pod,
    ):
        volume.put(kubectl, pod, tmp_path / "file", "/volume/x")

    assert kubectl.asked[-1][:3] == ("delete", "pod", "files")


@pytest.mark.integration
def test_a_run_that_arrives_damaged_leaves_nothing(tmp_path, kubectl, bundle):
    run = a_run(write_input(tmp_path / "in.parquet", 9), tmp_path / "june", bundle, 1)
    predict_shard(open_run(run), 0)
    gather(open_run(run), 1.0)
    (tmp_path / "june/part-00000-of-00001.parquet").write_bytes(b"other")

    with pytest.raises(SurroundingsError, match=r"part-00000-of-00001.parquet: not what"):
        volume.get(kubectl, "files", str(tmp_path / "june"), tmp_path / "got")

    assert not [path for path in tmp_path.iterdir() if "got" in path.name]
