"""What GPUs change in a stack, and that nothing changes without them."""

import json
import re
from dataclasses import replace

import pulumi
import pytest
import yaml

from tests.infra.test_policies_hold import reports
from tests.infra.test_program import PROVEN

ON = {
    "enabled": True,
    "count": 2,
    "nodeSelector": {"nvidia.com/gpu.present": "true"},
    "runtimeClass": "nvidia",
    "metrics": {"enabled": True, "namespace": "gpu-operator"},
}
OFF = {**ON, "enabled": False}
DEVICES = {"nvidia.com/gpu": "2"}


@pytest.fixture
def stack(recorded):
    """The program with two releases; the serving image has CUDA where `cuda` says so."""

    def run(gpu=None, *, cuda=True, **config):
        objects = {} if gpu is None else {"gpu": json.dumps(gpu)}
        return recorded(green="flights-0002", cuda=cuda, **objects, **config)

    return run


def without_secrets(done):
    """Registrations by name, in whatever order they came, without what is drawn anew in each run."""
    return {one.urn: replace(one, inputs={}) if one.type.endswith(":Secret") else one for one in done}


def pod(done, slot):
    return done.one("Deployment", f"model-{slot}").inputs["spec"]["template"]["spec"]


def slot_hash(done):
    template = done.one("Deployment", "model-blue").inputs["spec"]["template"]
    return template["metadata"]["annotations"]["ml-pipeline/slot-hash"]


def test_off_is_the_same_program_to_the_last_input(stack):
    without = without_secrets(stack(cuda=False))

    assert without_secrets(stack(OFF, cuda=False)) == without
    assert without_secrets(stack(ON)) != without_secrets(stack())


@pytest.mark.parametrize("slot", ["blue", "green"])
def test_on_gives_each_slot_its_devices_its_nodes_and_the_word_to_use_them(stack, slot):
    found = pod(stack(ON), slot)
    (container,) = found["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}

    assert {**container["resources"]["limits"], **DEVICES} == container["resources"]["limits"]
    assert {**container["resources"]["requests"], **DEVICES} == container["resources"]["requests"]
    assert found["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert found["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert found["runtimeClassName"] == "nvidia"
    assert environment["EXECUTION_PROVIDER"] == "cuda"
    assert environment["CUDA_CACHE_DISABLE"] == "1"


def test_on_changes_exactly_that_and_the_hash_in_a_slot_s_deployment(stack):
    def stripped(done):
        spec = json.loads(json.dumps(done.one("Deployment", "model-blue").inputs))
        template = spec["spec"]["template"]
        (container,) = template["spec"]["containers"]
        template["metadata"]["annotations"].pop("ml-pipeline/slot-hash")
        for key in ("nodeSelector", "tolerations", "runtimeClassName"):
            template["spec"].pop(key, None)
        for part in container["resources"].values():
            part.pop("nvidia.com/gpu", None)
        container["env"] = [
            one for one in container["env"] if one["name"] not in ("EXECUTION_PROVIDER", "CUDA_CACHE_DISABLE")
        ]
        return spec

    assert stripped(stack(ON)) == stripped(stack(cuda=False))


def test_nobody_else_gets_a_gpu(stack):
    done = stack(ON)

    holders = {one.k8s_name for one in done if "nvidia.com/gpu" in json.dumps(one.inputs.get("spec", {}))}
    assert holders == {"model-blue", "model-green", "quota"}


def test_the_hash_of_a_slot_covers_what_changes_its_pods_and_not_who_measures_them(stack):
    changes = [None, ON, {**ON, "count": 1}, {**ON, "runtimeClass": ""}, {**ON, "nodeSelector": {}}]

    hashes = [slot_hash(stack(change)) for change in changes]

    assert len(set(hashes)) == len(changes)
    assert slot_hash(stack({**ON, "metrics": {}})) == hashes[1]


@pytest.mark.parametrize(
    ("config", "gpus"),
    [
        ({}, "28"),  # two slots of six and a pod that surges, two GPUs each
        ({"autoscaling": '{"enabled": false}', "replicas": "2"}, "12"),
    ],
)
def test_the_quota_has_room_for_both_slots_at_their_largest(stack, config, gpus):
    hard = stack(ON, **config).one("ResourceQuota", "quota").inputs["spec"]["hard"]

    assert hard["requests.nvidia.com/gpu"] == gpus


def test_every_policy_of_the_pack_still_holds(stack, monkeypatch):
    done = stack(ON)
    monkeypatch.setattr("policies.model_gate.CHECKOUT", done.root)

    assert {one.urn: found for one in done if (found := reports(one))} == {}


def test_an_image_without_cuda_is_refused_before_anything_is_registered(stack, deploy):
    with pytest.raises(pulumi.RunError, match=r"ML-CONF-006: ml-pipeline:gpu.enabled: got True"):
        stack(ON, cuda=False)
    assert deploy.registered == []


def test_an_image_that_another_stack_has_proven_is_asked_by_its_own_server(program, checkout):
    checkout.release("flights-0001")
    held = json.dumps({"blue": {"release": "flights-0001", "image": PROVEN}})

    assert pod(program(config={"slots": held, "gpu": json.dumps(ON)}), "blue")["runtimeClassName"] == "nvidia"


def prometheus(done):
    files = [one.inputs["data"] for one in done.of("ConfigMap") if one.name.startswith("prometheus")]
    return {name: text for data in files for name, text in data.items()}


def test_prometheus_asks_every_exporter_and_keeps_what_is_about_its_own_pods(stack):
    files = prometheus(stack(ON))
    jobs = {one["job_name"]: one for one in yaml.safe_load(files["prometheus.yml"])["scrape_configs"]}
    keep = {rule["source_labels"][0]: rule["regex"] for rule in jobs["dcgm"]["metric_relabel_configs"]}

    (lookup,) = jobs["dcgm"]["dns_sd_configs"]
    assert (lookup["names"], lookup["type"], lookup["port"]) == (["nvidia-dcgm-exporter.gpu-operator"], "A", 9400)
    assert jobs["dcgm"]["honor_labels"] is True
    assert keep["namespace"] == "ml-staging"
    assert "GpuError" in files["gpu.yml"]


def test_whatever_an_alert_asks_for_is_kept(stack):
    files = prometheus(stack(ON))
    jobs = {one["job_name"]: one for one in yaml.safe_load(files["prometheus.yml"])["scrape_configs"]}
    (kept,) = [r["regex"] for r in jobs["dcgm"]["metric_relabel_configs"] if r["source_labels"] == ["__name__"]]
    asked = set(re.findall(r"DCGM_FI_\w+", files["gpu.yml"]))

    assert asked
    assert all(re.fullmatch(kept, name) for name in asked)


def test_the_other_jobs_stay_as_they_are(stack):
    def others(done):
        content = yaml.safe_load(prometheus(done)["prometheus.yml"])
        content["scrape_configs"] = [one for one in content["scrape_configs"] if one["job_name"] != "dcgm"]
        return content

    assert others(stack(ON)) == others(stack(cuda=False))


def test_gpus_without_metrics_change_nothing_of_prometheus(stack):
    assert prometheus(stack({"enabled": True})) == prometheus(stack(cuda=False))
    assert "gpu.yml" not in prometheus(stack(cuda=False))


def test_prometheus_may_reach_the_exporter_s_pods_and_nothing_else_there(stack):
    name = "allow-prometheus-to-gpu-exporter-9400-out"
    spec = stack(ON).one("NetworkPolicy", name).inputs["spec"]
    (rule,) = spec["egress"]

    assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "prometheus"
    assert rule["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gpu-operator"}},
            "podSelector": {"matchLabels": {"app": "nvidia-dcgm-exporter"}},
        }
    ]
    assert rule["ports"] == [{"protocol": "TCP", "port": 9400}]
    assert name not in {one.k8s_name for one in stack(cuda=False).of("NetworkPolicy")}
