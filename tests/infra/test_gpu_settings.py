"""The configuration object `gpu`: what is taken, and that everything wrong with it is one error."""

import json

import pytest

from infra.gpu_settings import ExporterSettings, GpuSettings, Toleration
from infra.settings import parse
from ml.errors import ConfigError

BAD_GPU = [
    {"enabled": "yes"},
    {"count": 0},
    {"count": 17},
    {"resource": "gpu"},
    {"resource": "requests.kubernetes.io/gpu"},
    {"nodeSelector": []},
    {"nodeSelector": {"gpu": ["x"]}},
    {"nodeSelector": {"gpu": 1.5}},
    {"nodeSelector": {"a b": "x"}},
    {"nodeSelector": {"gpu": "not a value"}},
    {"tolerations": {}},
    {"tolerations": "x"},
    {"tolerations": ["x"]},
    {"tolerations": [{}]},
    {"tolerations": [{"key": "a b"}]},
    {"tolerations": [{"key": "gpu", "operator": "In"}]},
    {"tolerations": [{"key": "gpu", "operator": "Equal"}]},
    {"tolerations": [{"key": "gpu", "operator": "Exists", "value": "x"}]},
    {"tolerations": [{"key": "gpu", "effect": "Never"}]},
    {"tolerations": [{"key": "gpu", "seconds": 5}]},
    {"runtimeClass": "Nvidia"},
    {"metrics": True},
    {"metrics": {"enabled": 1}},
    {"metrics": {"namespace": "a.b"}},
    {"metrics": {"service": ""}},
    {"metrics": {"pods": {}}},
    {"metrics": {"port": 9400}},
    {"gpus": 1},
]


def read(values):
    return parse({"gpu": json.dumps(values)}, "staging").gpu


def test_without_the_object_there_are_no_gpus():
    assert parse({}, "staging").gpu == GpuSettings(enabled=False)


def test_one_word_is_enough_for_a_cluster_with_nvidia_s_device_plugin():
    found = read({"enabled": True})

    assert (found.count, found.resource, found.node_selector, found.runtime_class) == (1, "nvidia.com/gpu", {}, "")
    assert found.tolerations == (Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"),)
    assert found.exporter is None


def test_every_field_is_read():
    found = read(
        {
            "enabled": "true",
            "count": "2",
            "resource": "nvidia.com/mig-1g.5gb",
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H200", "empty": ""},
            "tolerations": [
                {"key": "gpu"},
                {"key": "pool", "value": "models", "effect": "NoExecute"},
                {"key": "spot", "operator": "Equal", "value": "true"},
            ],
            "runtimeClass": "nvidia",
            "metrics": {"enabled": True, "namespace": "gpu", "service": "dcgm", "pods": {"app": "dcgm"}},
        }
    )

    assert found == GpuSettings(
        enabled=True,
        count=2,
        resource="nvidia.com/mig-1g.5gb",
        node_selector={"nvidia.com/gpu.product": "NVIDIA-H200", "empty": ""},
        tolerations=(
            Toleration(key="gpu"),
            Toleration(key="pool", operator="Equal", value="models", effect="NoExecute"),
            Toleration(key="spot", operator="Equal", value="true"),
        ),
        runtime_class="nvidia",
        metrics=ExporterSettings(enabled=True, namespace="gpu", service="dcgm", pods={"app": "dcgm"}),
    )


def test_a_label_that_yaml_takes_for_a_boolean_or_a_number_is_meant_as_text():
    found = read({"nodeSelector": {"gpu": True, "zone": 1}, "tolerations": [{"key": "gpu", "value": True}]})

    assert found.node_selector == {"gpu": "true", "zone": "1"}
    assert found.tolerations == (Toleration(key="gpu", operator="Equal", value="true"),)


def test_no_toleration_at_all_can_be_asked_for():
    assert read({"enabled": True, "tolerations": []}).tolerations == ()


@pytest.mark.parametrize(("enabled", "scraped"), [(True, True), (False, False)])
def test_without_gpus_nobody_is_scraped_whatever_the_inside_says(enabled, scraped):
    found = read({"enabled": enabled, "metrics": {"enabled": True}})

    assert (found.exporter is not None) == scraped


def test_everything_wrong_is_said_at_once_and_where_it_stands():
    wrong = {
        "count": 0,
        "resource": "gpu",
        "nodeSelector": {"nvidia.com/gpu.present": []},
        "tolerations": [{"key": "a"}, {"operator": "In", "effect": "Never", "vlaue": "x"}],
        "metrics": {"pods": {}, "port": 9400},
    }

    with pytest.raises(ConfigError) as caught:
        read(wrong)
    lines = caught.value.message.splitlines()[1:]
    assert len(lines) == 9
    for place in (
        "gpu.count: got 0",
        "gpu.resource: got 'gpu'",
        'gpu.nodeSelector["nvidia.com/gpu.present"]: got []',
        "gpu.tolerations[1].key: got None",
        "gpu.tolerations[1].operator: got 'In'",
        "gpu.tolerations[1].effect: got 'Never'",
        "gpu.tolerations[1].vlaue: unknown key, did you mean value?",
        "gpu.metrics.pods: got {}",
        "gpu.metrics.port: unknown key",
    ):
        assert [line for line in lines if f"ml-pipeline:{place}" in line], place
