import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.backing.monitoring import retention_size_mib
from infra.backing.monitoring_files import DIRECTORY, alertmanager_files, prometheus_files, rule_files

from .conftest import build_platform


def scrape_jobs():
    jobs = yaml.safe_load(prometheus_files()["prometheus.yml"])["scrape_configs"]
    return {job["job_name"]: job for job in jobs}


def targets(job):
    fixed = [target for group in job.get("static_configs", []) for target in group["targets"]]
    looked_up = [f"{name}:{group['port']}" for group in job.get("dns_sd_configs", []) for name in group["names"]]
    return fixed + looked_up


def test_every_scrape_target_is_a_service_that_the_stack_declares(platform):
    services = {
        f"{one.k8s_name}:{port['port']}" for one in platform.of("Service") for port in one.inputs["spec"]["ports"]
    }
    asked = {target for job in scrape_jobs().values() for target in targets(job)}

    # The live Service is infra.delivery's; localhost is Prometheus itself.
    assert asked - services == {"model:80", "localhost:9090"}


def test_the_pods_of_a_slot_are_found_whether_or_not_they_are_ready(platform):
    for slot in ("blue", "green"):
        spec = platform.one("Service", f"model-{slot}-pods").inputs["spec"]
        assert spec["clusterIP"] == "None"
        assert spec["publishNotReadyAddresses"] is True
        assert spec["selector"]["ml-pipeline/slot"] == slot


def test_the_colour_of_a_target_comes_from_the_name_that_was_asked_for():
    (rule,) = scrape_jobs()["model"]["relabel_configs"]
    (lookup,) = scrape_jobs()["model"]["dns_sd_configs"]

    for name in lookup["names"]:
        found = re.fullmatch(rule["regex"], f"{name}.ml-staging.svc.cluster.local.")
        assert found is not None
        assert found[1] in {"blue", "green"}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("ml_batch_rows", True),
        ("ml_data_contract_held", True),
        ("ml_requests_total", False),
        ("ml_prediction_duration_seconds_bucket", False),
        ("kube_job_failed", False),
        ("x_ml_batch_rows", False),
    ],
)
def test_nobody_can_push_what_a_release_is_judged_by(name, kept):
    (rule,) = scrape_jobs()["pushgateway"]["metric_relabel_configs"]

    assert (rule["action"], rule["source_labels"]) == ("keep", ["__name__"])
    assert (re.fullmatch(rule["regex"], name) is not None) == kept


def test_configuration_and_rules_are_immutable_and_automatically_named_so_a_change_rolls_the_pod(platform):
    names = {one.name for one in platform.of("ConfigMap")}

    assert names == {"prometheus-config", "prometheus-rules"}
    for one in (*platform.of("ConfigMap"), platform.one("Secret", "alertmanager-config")):
        assert one.inputs["immutable"] is True
        assert "name" not in one.inputs["metadata"]


def test_a_webhook_is_a_secret_and_reaches_alertmanager(deploy):
    url = "https://hooks.example.com/T0/secret-token"

    deployed = deploy(lambda: build_platform(webhook_url=url))

    secret = deployed.one("Secret", "alertmanager-config")
    assert "stringData" in secret.secrets
    assert url in secret.inputs["stringData"]["alertmanager.yml"]
    assert [one for one in deployed if url in str(one.inputs)] == [secret]


@pytest.mark.parametrize("url", ["", "https://hooks.example.com/x?y=z#1"])
def test_alertmanager_accepts_its_configuration_with_and_without_a_receiver(url):
    content = yaml.safe_load(alertmanager_files(url)["alertmanager.yml"])

    receivers = {receiver["name"] for receiver in content["receivers"]}
    routes = [content["route"], *content["route"]["routes"]]
    assert {route["receiver"] for route in routes} <= receivers
    assert [hook["url"] for one in content["receivers"] for hook in one.get("webhook_configs", [])] == [url] * bool(url)


def test_runbooks_are_linked_below_the_configured_base_and_nothing_else_changes():
    plain, linked = rule_files(""), rule_files("https://git.example.com/team/repo/blob/main")

    for name, text in plain.items():
        assert text == (DIRECTORY / "rules" / name).read_text()
        assert linked[name].replace("https://git.example.com/team/repo/blob/main/", "") == text
        urls = [
            rule["annotations"]["runbook_url"]
            for group in yaml.safe_load(linked[name])["groups"]
            for rule in group["rules"]
        ]
        assert all(url.startswith("https://git.example.com/team/repo/blob/main/docs/runbooks/") for url in urls)


def test_prometheus_keeps_to_four_fifths_of_its_volume(platform):
    (container,) = platform.one("Deployment", "prometheus").inputs["spec"]["template"]["spec"]["containers"]

    assert "--storage.tsdb.retention.size=8192MB" in container["args"]
    assert "--storage.tsdb.retention.time=15d" in container["args"]


def test_a_volume_without_a_size_is_refused():
    with pytest.raises(ValueError, match="'much' is no size"):
        retention_size_mib("much")


def test_only_kube_state_metrics_has_a_role_and_it_reads_no_secret(platform):
    (role,) = platform.of("Role")
    resources = {resource for rule in role.inputs["rules"] for resource in rule["resources"]}

    assert platform.of("ClusterRole") == []
    assert all(rule["verbs"] == ["list", "watch"] for rule in role.inputs["rules"])
    assert not resources & {"secrets", "configmaps", "*"}
    (binding,) = platform.of("RoleBinding")
    assert [subject["name"] for subject in binding.inputs["subjects"]] == ["kube-state-metrics"]


def test_kube_state_metrics_asks_for_exactly_what_its_role_allows(platform):
    (role,) = platform.of("Role")
    allowed = {resource for rule in role.inputs["rules"] for resource in rule["resources"]}
    (container,) = platform.one("Deployment", "kube-state-metrics").inputs["spec"]["template"]["spec"]["containers"]
    (asked,) = [argument for argument in container["args"] if argument.startswith("--resources=")]

    assert set(asked.removeprefix("--resources=").split(",")) == allowed
    assert "--namespaces=ml-staging" in container["args"]


def test_components_announce_where_they_are(platform):
    assert {one.type for one in platform if one.type.startswith("ml-pipeline:")} == {
        "ml-pipeline:backing:Monitoring",
        "ml-pipeline:backing:Namespace",
        "ml-pipeline:backing:NodeExporter",
        "ml-pipeline:backing:Postgres",
        "ml-pipeline:backing:Pushgateway",
        "ml-pipeline:backing:StateMetrics",
        "ml-pipeline:backing:Tracking",
    }


def test_every_resource_of_a_component_is_its_child(platform):
    assert all(one.parent for one in platform)


def test_the_entry_point_is_the_rules_own_layout():
    # `../rules/*.yml` in prometheus.yml is right in the repository and in the pod alike.
    content = yaml.safe_load(prometheus_files()["prometheus.yml"])

    assert content["rule_files"] == ["../rules/*.yml"]
    assert Path(DIRECTORY, "config", "../rules").resolve().is_dir()


def test_bash_reads_the_database_entry_point():
    script = Path(__file__).parents[3] / "images/postgres/entrypoint.sh"

    assert subprocess.run([shutil.which("bash") or "bash", "-n", script], check=False).returncode == 0
