import json
from dataclasses import replace

import pytest

from infra.backing.flows import FLOWS
from infra.training_settings import TrainingSettings
from infra.workloads.training import Training, TrainingArgs
from ml.training import retrain, worker

SEARCH = TrainingSettings(study="june", through="2013-06", trials=12, workers=3, minutes=20)


def build(settings=SEARCH):
    return Training(
        "training",
        TrainingArgs(
            namespace="ml-staging",
            image="registry/training@sha256:" + "0" * 64,
            settings=settings,
            problem="ml.example",
            search_account="search",
            retrain_account="retrain",
            database="postgres:5432",
            database_secret="training-auth",
            mlflow_secret="mlflow-auth",
            mlflow_url="http://mlflow.ml-staging.svc:5000",
            prometheus_url="http://prometheus:9090",
            push_url="http://pushgateway:9091",
        ),
    )


def job(deploy, settings=SEARCH):
    return deploy(lambda: build(settings)).one("Job", f"search-{settings.study}").inputs


def container(spec):
    (found,) = spec["template"]["spec"]["containers"]
    return found


def test_the_search_is_an_indexed_job_with_one_pod_a_worker_and_an_end(deploy):
    spec = job(deploy)["spec"]

    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    assert spec["activeDeadlineSeconds"] > 20 * 60
    assert spec["ttlSecondsAfterFinished"] > 3600
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_a_killed_worker_is_replaced_a_drained_one_costs_no_try_and_a_wrong_one_ends_the_search(deploy):
    spec = job(deploy)["spec"]
    rules = {rule["action"]: rule for rule in spec["podFailurePolicy"]["rules"]}

    assert spec["backoffLimitPerIndex"] >= 3
    assert rules["Ignore"]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    refused = rules["FailJob"]["onExitCodes"]
    assert (refused["operator"], refused["values"]) == ("In", [2, 3, 4, 5])
    assert {137, 143, 7, 1}.isdisjoint(refused["values"]), "killed, stopped, unreachable, crashed: tried again"
    assert refused["containerName"] == container(spec)["name"]


def test_the_up_waits_for_its_start_only_and_for_the_end_of_the_one_it_replaces(deploy):
    assert job(deploy)["metadata"]["annotations"] == {"pulumi.com/waitFor": "jsonpath={.metadata.uid}"}


def test_the_worker_takes_the_arguments_it_is_given(deploy):
    spec = job(deploy)["spec"]
    given = worker._parser().parse_args(container(spec)["args"])

    assert container(spec)["command"] == ["python3", "-m", "ml.training.worker"]
    assert (given.study, given.through, given.trials, given.minutes) == ("june", "2013-06", 12, 20.0)
    assert given.storage == "postgresql+psycopg2://training@postgres:5432/training"


def test_a_problem_without_time_gets_no_month(deploy):
    spec = job(deploy, replace(SEARCH, through=""))["spec"]

    assert not any(word.startswith("--through") for word in container(spec)["args"])


def test_the_password_is_a_file_and_in_no_argument_or_variable(deploy):
    spec = job(deploy)["spec"]
    volumes = {volume["name"]: volume for volume in spec["template"]["spec"]["volumes"]}

    assert volumes["secret"]["secret"]["secretName"] == "training-auth"
    assert container(spec).get("env", []) == []
    assert "mlflow-auth" not in json.dumps(spec), "a search sees no other credential"


def test_the_pods_are_restricted_bounded_and_have_no_token(deploy):
    settings = replace(SEARCH, retrain="0 4 2 * *", retrain_on_drift=True)
    deployed = deploy(lambda: build(settings))
    templates = [one.inputs["spec"]["template"] for one in deployed.of("Job")]
    templates += [one.inputs["spec"]["jobTemplate"]["spec"]["template"] for one in deployed.of("CronJob")]

    assert len(templates) == 3
    for template in templates:
        pod, (one,) = template["spec"], template["spec"]["containers"]
        assert pod["automountServiceAccountToken"] is False
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert {"cpu", "memory", "ephemeral-storage"} <= set(one["resources"]["limits"])
    assert {t["spec"]["serviceAccountName"] for t in templates} == {"search", "retrain"}


@pytest.mark.parametrize("settings", [TrainingSettings(), TrainingSettings(trials=50, workers=9)])
def test_nothing_trains_unless_it_is_asked_for(deploy, settings):
    assert not settings.enabled
    assert [one.type for one in deploy(lambda: build(settings))] == ["ml-pipeline:workloads:Training"]


def test_retraining_runs_by_schedule_and_by_the_drift_alert_one_at_a_time(deploy):
    deployed = deploy(lambda: build(TrainingSettings(retrain="0 4 2 * *", retrain_on_drift=True)))
    crons = {one.k8s_name: one.inputs["spec"] for one in deployed.of("CronJob")}

    assert crons["retrain"]["schedule"] == "0 4 2 * *"
    assert set(crons) == {"retrain", "retrain-on-drift"}
    for name, reason in (("retrain", "schedule"), ("retrain-on-drift", "drift")):
        assert crons[name]["concurrencyPolicy"] == "Forbid"
        (one,) = crons[name]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert one["command"] == ["python3", "-m", "ml.training.retrain"]
        assert retrain.parser().parse_args(one["args"]).reason == reason
    assert deployed.of("Job") == []


def test_the_network_lets_a_search_reach_the_database_and_nothing_else():
    assert [(f.target, f.port) for f in FLOWS if f.source == "search"] == [("postgres", 5432)]
    assert {f.target for f in FLOWS if f.source == "retrain"} == {"mlflow", "prometheus", "pushgateway"}
