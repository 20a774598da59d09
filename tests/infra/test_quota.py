"""The namespace's quota has room for both slots at their largest beside the platform, whatever is configured."""

import json
from collections import Counter

import pytest

from infra.config_reader import cpu_cores, size_bytes
from infra.quota import most_slot_pods, quota
from infra.settings import parse

LOCAL = {
    "autoscaling": {"min": 3, "max": 4, "cpu": 500},
    "requests": {"cpu": "60m", "memory": "192Mi"},
    "limits": {"cpu": "1", "memory": "512Mi"},
}
LARGE = {
    "autoscaling": {"min": 10, "max": 60},
    "requests": {"cpu": "2", "memory": "4Gi"},
    "limits": {"cpu": "4", "memory": "8Gi"},
}
FIXED = {"autoscaling": {"enabled": False}, "replicas": 40}
TEMPLATES = {
    "Deployment": ("template",),
    "StatefulSet": ("template",),
    "DaemonSet": ("template",),
    "Job": ("template",),
    "CronJob": ("jobTemplate", "spec", "template"),
}


def amount(resource, text):
    return cpu_cores(text) if resource == "cpu" else size_bytes(text)


def pods_of(resource, kind):
    template = resource.inputs["spec"]
    for key in TEMPLATES[kind]:
        template = template[key]
    return template["spec"], 1 if kind in ("CronJob", "Job", "DaemonSet") else resource.inputs["spec"]["replicas"]


def asked(done, settings):
    """What all pods of the stack ask for, both slots at their largest and each with its surge."""
    found = Counter()
    for kind in TEMPLATES:
        for resource in done.of(kind):
            pod, replicas = pods_of(resource, kind)
            if resource.k8s_name in ("model-blue", "model-green"):
                replicas = most_slot_pods(settings) // 2
            found["pods"] += replicas
            for container in pod["containers"]:
                for part, values in container["resources"].items():
                    for name, text in values.items():
                        found[f"{part}.{name}"] += replicas * amount(name, text)
    return found


@pytest.mark.parametrize("config", [{}, LOCAL, LARGE, FIXED], ids=["default", "local", "large", "fixed"])
def test_the_whole_stack_fits_with_both_slots_at_their_largest(recorded, config):
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    settings = parse(values, "staging")
    done = recorded(green="flights-0002", **values)
    hard = done.one("ResourceQuota", "quota").inputs["spec"]["hard"]

    needs = asked(done, settings)

    assert set(needs) >= {"requests.cpu", "limits.memory", "limits.ephemeral-storage", "pods"}
    for name, value in needs.items():
        resource = name.rpartition(".")[2]
        bound = int(hard[name]) if name == "pods" else amount(resource, hard[name])
        assert value <= bound, f"{name}: {value} of {hard[name]}"


def test_what_is_not_larger_than_the_defaults_changes_nothing():
    default = quota(parse({}, "staging"))

    assert (
        quota(parse({key: json.dumps(value) for key, value in LOCAL.items() if key != "limits"}, "staging")) == default
    )
    assert default["requests.cpu"] == "16"


@pytest.mark.parametrize(
    ("config", "grown"),
    [
        # two slots of six pods and one more each: 14 of 250m, 2 GiB or a GiB more than the defaults have
        ({"requests": {"cpu": "500m"}}, {"requests.cpu": "19500m"}),
        ({"limits": {"cpu": "750m", "memory": "3Gi"}}, {"limits.cpu": "43500m", "limits.memory": "76Gi"}),
        ({"requests": {"cpu": "500m"}, "autoscaling": {"max": 7}}, {"requests.cpu": "20500m", "pods": "82"}),
        ({"limits": {"cpu": "1"}}, {"limits.cpu": "47"}),
    ],
)
def test_only_what_is_larger_grows_and_is_written_as_kubernetes_does(config, grown):
    default = quota(parse({}, "x"))
    found = quota(parse({key: json.dumps(value) for key, value in config.items()}, "x"))

    assert {key: found[key] for key in grown} == grown
    if "autoscaling" not in config:  # more pods are more of everything
        assert {key for key, value in found.items() if default[key] != value} == set(grown)
