"""One slot, as the API server would get it."""

from dataclasses import replace

import pulumi
import pytest

from infra.backing.pods import Resources
from infra.delivery.slot import (
    AWAIT_S,
    CONNECTION_AGE_S,
    DRAIN_S,
    FINISH_S,
    PRE_STOP_S,
    PROGRESS_DEADLINE_S,
    ModelSlot,
    ModelSlotArgs,
)
from infra.release import Evidence
from infra.settings import AutoscalingSettings
from infra.shadow_settings import ShadowSettings
from ml.serving.settings import from_environment

IMAGE = f"127.0.0.1:5000/ml-pipeline/serving@sha256:{'a' * 64}"
CONNECTIONS_MOVED_S = CONNECTION_AGE_S * 1.2  # after a switch, no client that asks this often is with the old slot
EVIDENCE = Evidence(
    release="flights-0001", record="{}\n", signature="{}", digest="d" * 64, model_sha256="e" * 64, serving="{}"
)


async def _let_through(_args):
    return None


@pytest.fixture
def slot(deploy):
    def build(**changes):
        args = {
            "namespace": "ml-staging",
            "slot": "green",
            "evidence": EVIDENCE,
            "image": IMAGE,
            "replicas": 3,
            "resources": Resources(cpu_request="250m", memory_request="512Mi", cpu_limit="500m", memory_limit="1Gi"),
            "autoscaling": AutoscalingSettings(),
            "warm_s": 600,
            "monitoring_endpoint": "http://prometheus.ml-staging.svc:9090",
            "key_hashes_secret": "model-api-key-hashes",
            **changes,
        }
        # The hook belongs to one deployment: the engine is told of it when it is made.
        return deploy(
            lambda: ModelSlot(
                "green",
                ModelSlotArgs(
                    image_gate=pulumi.ResourceHook("image-is-scanned", _let_through),
                    occupied_gate=pulumi.ResourceHook("keeps-its-release", _let_through),
                    **args,
                ),
            )
        )

    return build


def pod_of(done):
    return done.one("Deployment", "model-green").inputs["spec"]["template"]


def container_of(done):
    [container] = pod_of(done)["spec"]["containers"]
    return container


def test_it_is_a_deployment_a_service_a_budget_an_autoscaler_and_an_account(slot):
    done = slot()

    kinds = {r.type.rsplit(":", 1)[-1] for r in done if r.type.startswith("kubernetes:")}
    assert kinds == {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "ServiceAccount"}
    assert {r.k8s_name for r in done if r.type.startswith("kubernetes:")} == {"model-green"}


def test_the_pods_say_which_release_they_run_and_where_to_report(slot):
    env = {variable["name"]: variable["value"] for variable in container_of(slot())["env"]}

    assert env["MODEL_VERSION"] == "flights-0001"
    assert env["MONITORING_ENDPOINT"] == "http://prometheus.ml-staging.svc:9090"
    assert env["API_KEYS_FILE"] == "/etc/model/keys"


def test_the_shadow_adds_where_to_and_how_much_and_nothing_else(slot):
    env = {variable["name"]: variable["value"] for variable in container_of(slot())["env"]}
    on = slot(shadow=ShadowSettings(enabled=True, share=0.25))
    mirrored = {variable["name"]: variable["value"] for variable in container_of(on)["env"]}

    assert dict(mirrored.items() - env.items()) == {
        "SHADOW_URL": "http://model-preview.ml-staging.svc:80",
        "SHADOW_SHARE": "0.25",
    }
    assert set(env) == set(mirrored) - {"SHADOW_URL", "SHADOW_SHARE"}
    taken = from_environment({**mirrored, "MODEL_DIR": "/model", "ALLOW_ANONYMOUS": "true"}).shadow
    assert (taken.address.host, taken.address.port, taken.share) == ("model-preview.ml-staging.svc", 80, 0.25)
    assert [volume["name"] for volume in pod_of(on)["spec"]["volumes"]] == ["keys", "tmp"]  # no key of a client


def test_replicas_requests_and_limits_are_the_configured_ones(slot):
    done = slot()

    resources = container_of(done)["resources"]
    assert done.one("Deployment", "model-green").inputs["spec"]["replicas"] == 3
    assert {**resources["requests"], "ephemeral-storage": ""}.items() >= {"cpu": "250m", "memory": "512Mi"}.items()
    assert {**resources["limits"], "ephemeral-storage": ""}.items() >= {"cpu": "500m", "memory": "1Gi"}.items()


def test_port_80_leads_to_8000(slot):
    done = slot()

    [port] = done.one("Service", "model-green").inputs["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, 8000)
    assert [p["containerPort"] for p in container_of(done)["ports"]] == [8000]


def test_liveness_readiness_and_startup_ask_the_right_questions(slot):
    container = container_of(slot())

    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["startupProbe"]["httpGet"]["path"] == "/health"


def test_the_evidence_stands_on_the_deployment_and_its_digests_on_the_pods(slot):
    done = slot()

    digests = {"ml-pipeline/record-digest": "d" * 64, "ml-pipeline/model-sha256": "e" * 64}
    assert pod_of(done)["metadata"]["annotations"] == {**digests, "ml-pipeline/slot-hash": _slot_hash(done)}
    assert done.one("Deployment", "model-green").inputs["metadata"]["annotations"] == {
        **digests,
        "ml-pipeline/release-record": "{}\n",
        "ml-pipeline/release-signature": "{}",
        "pulumi.com/timeoutSeconds": str(AWAIT_S),
    }


def test_the_selector_never_changes_with_the_release(slot):
    def selectors(done):
        return (
            done.one("Deployment", "model-green").inputs["spec"]["selector"],
            done.one("Service", "model-green").inputs["spec"]["selector"],
        )

    other = Evidence(**{**vars(EVIDENCE), "release": "flights-0002"})
    assert selectors(slot()) == selectors(slot(evidence=other))


def test_the_time_to_shut_down_adds_up(slot):
    done = slot()

    env = {variable["name"]: variable["value"] for variable in container_of(done)["env"]}
    pre_stop = container_of(done)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert (env["DRAIN_SECONDS"], env["GRACE_SECONDS"], pre_stop) == (str(DRAIN_S), str(FINISH_S), PRE_STOP_S)
    assert pod_of(done)["spec"]["terminationGracePeriodSeconds"] >= pre_stop + DRAIN_S + FINISH_S + 5


def test_a_connection_outlives_a_switch_by_no_more_than_the_slot_says(slot):
    [container] = slot().one("Deployment", "model-green").inputs["spec"]["template"]["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}

    limits = from_environment({**environment, "MODEL_DIR": "/model", "ALLOW_ANONYMOUS": "true"}).limits

    assert 0 < limits.age_s * (1 + limits.age_jitter) <= CONNECTIONS_MOVED_S


def test_no_pod_goes_before_another_has_come_and_every_wait_ends(slot):
    spec = slot().one("Deployment", "model-green").inputs["spec"]

    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert spec["progressDeadlineSeconds"] == PROGRESS_DEADLINE_S < AWAIT_S


def test_with_an_autoscaler_the_number_of_pods_is_its_own(slot):
    done = slot(autoscaling=AutoscalingSettings(enabled=True, min=2, max=5, cpu=60))

    spec = done.one("HorizontalPodAutoscaler", "model-green").inputs["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "model-green"}
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 60}
    assert done.one("Deployment", "model-green").ignore_changes == ("spec.replicas",)


def test_without_one_it_is_the_configured_number(slot):
    done = slot(autoscaling=AutoscalingSettings(enabled=False))

    assert done.of("HorizontalPodAutoscaler") == []
    assert done.one("Deployment", "model-green").ignore_changes == ()


def test_a_drain_evicts_one_pod_at_a_time(slot):
    budget = slot().one("PodDisruptionBudget", "model-green").inputs["spec"]

    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert budget["selector"]["matchLabels"]["ml-pipeline/slot"] == "green"


def test_pods_prefer_different_nodes_and_do_not_demand_them(slot):
    [spread] = pod_of(slot())["spec"]["topologySpreadConstraints"]

    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    assert spread["labelSelector"]["matchLabels"]["ml-pipeline/slot"] == "green"


def test_the_key_hashes_are_a_file(slot):
    done = slot()

    [volume] = [v for v in pod_of(done)["spec"]["volumes"] if v["name"] == "keys"]
    assert volume["secret"]["secretName"] == "model-api-key-hashes"
    assert {m["name"]: m["mountPath"] for m in container_of(done)["volumeMounts"]}["keys"] == "/etc/model"


def _slot_hash(done):
    return pod_of(done)["metadata"]["annotations"]["ml-pipeline/slot-hash"]


def test_the_hash_of_a_slot_covers_model_image_and_configuration_and_not_its_size(slot):
    larger = Resources(cpu_request="250m", memory_request="512Mi", cpu_limit="500m", memory_limit="2Gi")
    other_model = replace(EVIDENCE, digest="f" * 64)
    changes = [
        {},
        {"resources": larger},
        {"image": IMAGE.replace("a" * 64, "b" * 64)},
        {"evidence": other_model},
        {"monitoring_endpoint": "http://elsewhere:9090"},
    ]

    hashes = [_slot_hash(slot(**change)) for change in changes]

    assert len(set(hashes)) == len(changes)
    assert _slot_hash(slot(replicas=7)) == hashes[0]
