"""Every pod of the platform keeps the rules that the cluster, the policy pack and the design ask for."""

import pytest

from policies.pods import violations

POD_KINDS = ("Deployment", "StatefulSet", "DaemonSet")
NAMES = ("alertmanager", "kube-state-metrics", "mlflow", "node-exporter", "postgres", "prometheus", "pushgateway")


def pods(platform):
    found = [resource for kind in POD_KINDS for resource in platform.of(kind)]
    return {resource.k8s_name: resource.inputs["spec"]["template"]["spec"] for resource in found}


def test_the_platform_has_exactly_these_pods(platform):
    assert sorted(pods(platform)) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_is_restricted(platform, name):
    pod = pods(platform)[name]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_has_its_own_account_and_a_token_only_to_read_the_cluster(platform, name):
    pod = pods(platform)[name]

    assert pod["serviceAccountName"] == name
    assert pod["automountServiceAccountToken"] is (name == "kube-state-metrics")


@pytest.mark.parametrize("name", NAMES)
def test_a_container_is_bounded_in_every_resource(platform, name):
    (container,) = pods(platform)[name]["containers"]

    for bound in ("requests", "limits"):
        assert set(container["resources"][bound]) == {"cpu", "memory", "ephemeral-storage"}
    assert "@sha256:" in container["image"]
    assert container["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize("name", NAMES)
def test_a_container_is_watched_by_two_different_probes(platform, name):
    (container,) = pods(platform)[name]["containers"]

    assert container["livenessProbe"] != container["readinessProbe"]
    assert "host" not in str(container["livenessProbe"].get("httpGet", {}))


@pytest.mark.parametrize("name", NAMES)
def test_volumes_are_bounded_and_of_the_allowed_kinds(platform, name):
    for volume in pods(platform)[name].get("volumes", []):
        (kind,) = set(volume) - {"name"}
        assert kind in {"emptyDir", "secret", "configMap", "persistentVolumeClaim"}
        if kind == "emptyDir":
            assert volume[kind]["sizeLimit"]


@pytest.mark.parametrize("name", NAMES)
def test_every_mount_has_its_volume_and_every_volume_its_mount(platform, name):
    pod = pods(platform)[name]
    claimed = {"data"} if name == "postgres" else set()  # from the StatefulSet's claim template
    volumes = {volume["name"] for volume in pod.get("volumes", [])} | claimed

    assert {mount["name"] for mount in pod["containers"][0].get("volumeMounts", [])} == volumes


def test_no_secret_reaches_an_environment_or_an_argument(platform):
    for pod in pods(platform).values():
        (container,) = pod["containers"]
        assert all("valueFrom" not in variable for variable in container.get("env", []))
        assert not any("password" in str(argument).lower() for argument in container.get("args", []))


def test_a_server_with_a_volume_is_stopped_before_its_successor_starts(platform):
    assert {one.inputs["spec"]["strategy"]["type"] for one in platform.of("Deployment")} == {"Recreate"}


def test_waiting_for_a_pod_that_cannot_start_ends_after_five_minutes(platform):
    for one in (*platform.of("Deployment"), *platform.of("StatefulSet")):
        assert one.inputs["metadata"]["annotations"]["pulumi.com/timeoutSeconds"] == "300"


def test_every_service_finds_pods_of_the_platform_or_of_a_slot(platform):
    found = [resource for kind in POD_KINDS for resource in platform.of(kind)]
    labels = [resource.inputs["spec"]["template"]["metadata"]["labels"] for resource in found]
    slots = [
        {"app.kubernetes.io/name": "model", "app.kubernetes.io/part-of": "ml-pipeline", "ml-pipeline/slot": slot}
        for slot in ("blue", "green")
    ]

    for service in platform.of("Service"):
        selector = service.inputs["spec"]["selector"]
        assert selector in slots or any(selector.items() <= of_pod.items() for of_pod in labels), service.k8s_name


def test_the_policy_pack_finds_nothing_in_the_platform(platform):
    assert [found for one in platform for found in violations(one.type, one.inputs)] == []
