"""Batch runs as a stack's cluster shows them, from the Job that the component makes."""

import json

import pytest

from infra.names import BATCH
from ml.cli.batches import shown
from ml.errors import UsageError
from ml.stack.batches import reaching_pod, run_of, runs
from policies.pods import violations
from tests.infra.workloads.test_batch import RUN, build
from tests.ml.stack.fakes import Namespace

SUMMARY = {"run": "june", "rows": 9, "predicted": 8, "dead": 1, "shards": 6}


@pytest.fixture
def spec(deploy):
    """What the component makes; the API server keeps it as it is."""
    return deploy(lambda: build(RUN)).one("Job", "batch-june").inputs["spec"]


@pytest.fixture
def namespace():
    return Namespace()


def add(namespace, spec, name="june", *, said=(), label=BATCH, **status):
    namespace.objects["job", f"batch-{name}"] = {
        "metadata": {"name": f"batch-{name}", "labels": {"app.kubernetes.io/name": label}},
        "spec": spec,
        "status": status,
    }
    for index, (code, message) in enumerate(said):
        namespace.objects["pod", f"batch-{name}-{index}"] = {
            "metadata": {"labels": {"batch.kubernetes.io/job-name": f"batch-{name}"}},
            "status": {"containerStatuses": [{"state": {"terminated": {"exitCode": code, "message": message}}}]},
        }


def test_a_run_that_is_under_way_shows_its_shards(namespace, spec):
    add(namespace, spec, succeeded=4, active=2, failed=1)

    (one,) = runs(namespace)

    assert shown(one) == "june: 4 of 6 shards done; pods active 2, failed 1"
    assert (one.input, one.output) == ("/volume/in/june.parquet", "/volume/june")


def test_a_complete_run_shows_its_sum(namespace, spec):
    add(namespace, spec, said=[(137, ""), (0, json.dumps(SUMMARY))], succeeded=6)

    assert "complete: 9 rows = 8 predicted + 1 dead letters" in shown(runs(namespace)[0])


@pytest.mark.parametrize("message", ["no json", "[]", '{"rows": 1}'])
def test_whatever_else_a_pod_says_is_no_summary(namespace, spec, message):
    add(namespace, spec, said=[(0, message), (1, json.dumps(SUMMARY))], succeeded=6)

    assert runs(namespace)[0].summary is None


def test_a_run_that_gave_up_says_why(namespace, spec):
    failed = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "exit code 4"}
    add(namespace, spec, said=[(4, "ML-BATCH-003: 5 of 9 rows")], conditions=[failed])

    assert shown(runs(namespace)[0]).endswith("PodFailurePolicy: exit code 4\nML-BATCH-003: 5 of 9 rows")


def test_a_run_is_found_by_name_or_alone(namespace, spec):
    add(namespace, spec, "x", label="other")
    with pytest.raises(UsageError, match=r"ML-BATCH-013.*none"):
        run_of(namespace, "staging", None)

    add(namespace, spec, "june")
    assert run_of(namespace, "staging", None).name == "june"

    add(namespace, spec, "july")
    assert run_of(namespace, "staging", "july").name == "july"
    for name in (None, "may"):
        with pytest.raises(UsageError, match=r"ML-BATCH-013.*july, june"):
            run_of(namespace, "staging", name)


def test_the_pod_that_reaches_the_volume_is_restricted_and_holds_the_volume_alone(namespace, spec):
    add(namespace, spec)

    pod = reaching_pod(runs(namespace)[0], "files")

    assert violations("kubernetes:core/v1:Pod", pod) == []
    (container,) = pod["spec"]["containers"]
    assert {one["name"] for one in container["volumeMounts"]} == {"volume", "tmp"}
    assert {one["name"] for one in pod["spec"]["volumes"]} == {"volume", "tmp"}
    assert not pod["spec"].get("initContainers")
    assert container["image"] == spec["template"]["spec"]["containers"][0]["image"]
    assert "sleep" in container["command"][-1]
    assert pod["spec"]["activeDeadlineSeconds"] <= 3600
