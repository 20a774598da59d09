import pytest

from infra.backing.flows import FLOWS
from infra.workloads.drift import DriftCheck, DriftCheckArgs
from ml.drift.__main__ import main


def build(live="blue", serving='{"schema": 1}'):
    return DriftCheck(
        "drift",
        DriftCheckArgs(
            namespace="ml-staging",
            image="registry/worker@sha256:" + "0" * 64,
            service_account="drift-check",
            release_files={"serving.json": serving, "record.json": "{}"},
            live_slot=live,
            schedule="17 3 * * *",
        ),
    )


def cron(deploy, **kwargs):
    return deploy(lambda: build(**kwargs)).one("CronJob", "drift-check").inputs["spec"]


def test_a_failed_check_is_neither_repeated_nor_left_running(deploy):
    spec = cron(deploy)

    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] == 3600
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 600
    assert spec["failedJobsHistoryLimit"] >= 1


def test_the_check_asks_about_the_live_slot_only(deploy):
    pod = cron(deploy, live="green")["jobTemplate"]["spec"]["template"]["spec"]

    assert "--match=slot=green" in pod["containers"][0]["args"]


def test_the_release_comes_as_files_under_a_name_that_changes_with_them(deploy):
    deployed = deploy(build)
    (config,) = deployed.of("ConfigMap")

    assert set(config.inputs["data"]) == {"serving.json", "record.json"}
    assert config.inputs["immutable"] is True
    assert "name" not in config.inputs["metadata"]


def test_the_pod_is_restricted_and_says_why_it_failed(deploy):
    pod = cron(deploy)["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_the_command_takes_the_arguments_it_is_given(deploy, tmp_path):
    (container,) = cron(deploy)["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    given = [argument.replace("/model", str(tmp_path)) for argument in container["args"]]

    assert container["command"] == ["python3", "-m", "ml.drift"]
    # There is no release in the folder: an error about it, not about the arguments (argparse would exit).
    assert main(given) != 0


def test_unknown_arguments_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--promtheus=x"])
    assert "--prometheus" in capsys.readouterr().err


def test_the_network_lets_the_check_reach_prometheus():
    assert any((flow.source, flow.target, flow.port) == ("drift-check", "prometheus", 9090) for flow in FLOWS)
