from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml.errors import GateError, SurroundingsError
from ml.stack import cluster
from ml.stack.slots import Held, Running
from tests.ml.stack.fakes import DIGEST, Namespace, image


@pytest.fixture
def space() -> Namespace:
    space = Namespace()
    space.slot("blue", "flights-0001")
    space.slot("green", "flights-0002", letter="c")
    space.live("green")
    space.platform()
    return space


def test_the_cluster_tells_what_is_live_and_what_each_slot_runs(space: Namespace) -> None:
    assert cluster.running(space) == Running(
        live="green",
        slots={
            "blue": Held(release="flights-0001", image=image("serving")),
            "green": Held(release="flights-0002", image=image("serving", "c")),
        },
    )
    assert cluster.running(Namespace()) == Running(live=None)


def test_what_is_live_and_whole_is_proven(space: Namespace) -> None:
    proven = cluster.proven(space, "staging")

    assert (proven.slot, proven.held.release, proven.record_digest) == ("green", "flights-0002", DIGEST)


def _by_tag(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "serving:latest"


UNPROVEN = {
    "a pod is not ready": (lambda d: d["status"].update(readyReplicas=2), "readyReplicas is 2 of 3"),
    "an old pod is left": (lambda d: d["status"].update(updatedReplicas=1), "updatedReplicas is 1 of 3"),
    "no status": (lambda d: d.pop("status"), "readyReplicas is 0 of 3"),
    "a change is not rolled out": (lambda d: d["metadata"].update(generation=3), "not been rolled out"),
    "no replicas": (lambda d: d["spec"].update(replicas=0), "no replicas"),
    "image by tag": (_by_tag, "by digest"),
    "no record": (lambda d: d["metadata"].pop("annotations"), "annotation"),
}


@pytest.mark.parametrize(("spoil", "why"), UNPROVEN.values(), ids=UNPROVEN.keys())
def test_what_is_not_whole_is_not_proven(space: Namespace, spoil: Callable[[dict[str, Any]], Any], why: str) -> None:
    spoil(space.objects["deployment", "model-green"])

    with pytest.raises(GateError, match=why) as refused:
        cluster.proven(space, "staging")
    assert refused.value.code == "ML-REL-021"


def test_an_empty_namespace_proves_nothing() -> None:
    with pytest.raises(GateError, match="no release takes traffic"):
        cluster.proven(Namespace(), "staging")


def test_platform_images_are_those_that_run_by_digest(space: Namespace) -> None:
    assert cluster.platform_images(space) == {name: image(name, "b") for name in ("mlflow", "postgres", "worker")}

    _by_tag(space.objects["deployment", "mlflow"])
    assert set(cluster.platform_images(space)) == {"postgres", "worker"}


def a_job(name: str, digit: str, made: str) -> dict[str, object]:
    pod = {"containers": [{"image": image(name, digit)}]}
    return {"metadata": {"name": digit, "creationTimestamp": made}, "spec": {"template": {"spec": pod}}}


def test_the_image_of_a_batch_run_is_promoted_the_newest_one_and_never_against_what_runs_for_good(
    space: Namespace,
) -> None:
    space.objects["job", "1"] = a_job("training", "2", "2026-02-01T00:00:00Z")
    space.objects["job", "2"] = a_job("training", "1", "2026-01-01T00:00:00Z")
    space.objects["job", "3"] = a_job("worker", "3", "2026-03-01T00:00:00Z")

    found = cluster.platform_images(space)

    assert found["training"] == image("training", "2")
    assert found["worker"] == image("worker", "b")


def test_a_secret_is_decoded_and_a_missing_one_is_named(space: Namespace) -> None:
    space.secret("mlflow-auth", username="admin", password="p")

    assert cluster.secret(space, "mlflow-auth") == {"username": "admin", "password": "p"}
    with pytest.raises(SurroundingsError, match="api-key"):
        cluster.secret(space, "api-key")


def test_a_cluster_that_does_not_answer_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {}}], "
        "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:9'}}], "
        "contexts: [{name: c, context: {cluster: k, user: u}}]}"
    )
    monkeypatch.setenv("MLP_KUBECONFIG", str(kubeconfig))

    with pytest.raises(SurroundingsError) as refused:
        cluster.running(cluster.objects("staging", ""))
    assert refused.value.code == "ML-CLUSTER-020"
