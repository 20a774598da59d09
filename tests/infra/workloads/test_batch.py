import json
from dataclasses import replace

import pytest

from infra.backing.flows import FLOWS
from infra.batch_settings import BatchSettings
from infra.workloads.batch import Batch, BatchArgs
from ml.batch import __main__ as worker
from policies.pods import violations

RUN = BatchSettings(run="june", input="in/june.parquet", shards=6, parallelism=3, keep="id,flight", size="2Gi")
SERVING, TRAINING = (f"registry/{name}@sha256:{digit * 64}" for name, digit in (("serving", "1"), ("training", "2")))


def build(settings=RUN):
    return Batch(
        "batch",
        BatchArgs(
            namespace="ml-staging",
            settings=settings,
            image=TRAINING,
            model_image=SERVING,
            service_account="batch",
            push_url="http://pushgateway:9091",
            storage_class="fast",
        ),
    )


def job(deploy, settings=RUN):
    return deploy(lambda: build(settings)).one("Job", "batch-june")


def pod(spec):
    return spec["template"]["spec"]


def test_a_run_is_an_indexed_job_with_one_index_a_shard_and_an_end(deploy):
    spec = job(deploy).inputs["spec"]

    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 6, 3)
    assert spec["activeDeadlineSeconds"] > 60 * 60
    assert spec["ttlSecondsAfterFinished"] > 3600
    assert pod(spec)["restartPolicy"] == "Never"


def test_the_up_waits_for_its_start_only_and_for_the_end_of_the_one_it_replaces(deploy):
    assert job(deploy).inputs["metadata"]["annotations"] == {"pulumi.com/waitFor": "jsonpath={.metadata.uid}"}


def test_a_killed_worker_is_replaced_and_a_refusal_ends_the_run(deploy):
    spec = job(deploy).inputs["spec"]
    rules = {rule["action"]: rule for rule in spec["podFailurePolicy"]["rules"]}

    assert spec["backoffLimitPerIndex"] >= 3
    assert rules["Ignore"]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert rules["FailJob"]["onExitCodes"]["values"] == [2, 3, 4, 5]
    assert rules["FailJob"]["onExitCodes"]["containerName"] == "batch"


def test_the_worker_takes_the_arguments_it_is_given(deploy):
    (one,) = pod(job(deploy).inputs["spec"])["containers"]
    given = worker.parser().parse_args(one["args"])

    assert one["command"] == ["python3", "-m", "ml.batch"]
    assert (str(given.input), str(given.output)) == ("/volume/in/june.parquet", "/volume/june")
    assert (given.shards, given.keep, given.format, given.wait) == (6, "id,flight", "parquet", True)
    assert given.push == "http://pushgateway:9091"
    assert (str(given.release_dir), str(given.result)) == ("/release/model", "/dev/termination-log")


def test_the_model_comes_out_of_the_image_that_serves_and_the_reader_of_parquet_from_the_other(deploy):
    found = pod(job(deploy).inputs["spec"])
    (copies,), (predicts,) = found["initContainers"], found["containers"]

    assert (copies["image"], predicts["image"]) == (SERVING, TRAINING)
    assert "copytree('/model', '/release/model'" in copies["command"][-1]
    by_name = {each["name"]: each for each in predicts["volumeMounts"]}
    assert by_name["release"]["readOnly"] is True
    assert by_name["volume"]["readOnly"] is False


def test_a_run_stays_with_the_release_it_began_with(deploy):
    assert job(deploy).ignore_changes == (
        "spec.template.spec.initContainers[0].image",
        "spec.template.spec.containers[0].image",
    )


def test_the_pods_are_restricted_bounded_and_have_no_token(deploy):
    one = job(deploy)

    assert violations("kubernetes:batch/v1:Job", one.inputs) == []
    assert pod(one.inputs["spec"])["serviceAccountName"] == "batch"
    for each in pod(one.inputs["spec"])["initContainers"] + pod(one.inputs["spec"])["containers"]:
        assert {"cpu", "memory", "ephemeral-storage"} <= set(each["resources"]["limits"])


def test_the_volume_is_there_as_long_as_its_size_is_given(deploy):
    alone = deploy(lambda: build(BatchSettings(size="2Gi")))
    (claim,) = alone.of("PersistentVolumeClaim")

    assert alone.of("Job") == []
    assert claim.inputs["spec"]["resources"]["requests"] == {"storage": "2Gi"}
    assert claim.inputs["spec"]["storageClassName"] == "fast"


def test_a_claim_that_the_team_has_is_used_and_none_is_made(deploy):
    done = deploy(lambda: build(replace(RUN, size="", claim="lake")))

    assert done.of("PersistentVolumeClaim") == []
    assert '"claimName": "lake"' in json.dumps(done.one("Job", "batch-june").inputs)


@pytest.mark.parametrize("settings", [BatchSettings(), BatchSettings(shards=9, claim="lake")])
def test_nothing_runs_unless_it_is_asked_for(settings):
    assert not settings.enabled


def test_more_places_than_shards_are_not_asked_for(deploy):
    assert job(deploy, replace(RUN, shards=2, parallelism=5)).inputs["spec"]["parallelism"] == 2


def test_the_network_lets_a_run_leave_its_sum_and_nothing_else():
    assert [(flow.target, flow.port) for flow in FLOWS if flow.source == "batch"] == [("pushgateway", 9091)]
