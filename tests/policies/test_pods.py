"""Restricted pods: a minimal pod that passes, and one change at a time that must fail, in every kind and list."""

import copy

import pytest

from policies.pods import TOKEN_ACCOUNTS, violations

POLICY = "pods-restricted"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
DELETE = "(deleted)"


def put(value, path, new):
    """Set a value deep inside, making objects on the way; `DELETE` removes it."""
    at = value
    for key in path[:-1]:
        at = at.setdefault(key, {}) if isinstance(at, dict) else at[key]
    if new == DELETE:
        del at[path[-1]]
    else:
        at[path[-1]] = new


IN_CONTAINER = [
    ("securityContext.privileged", True),
    ("securityContext.privileged", "false"),
    ("securityContext.allowPrivilegeEscalation", True),
    ("securityContext.allowPrivilegeEscalation", DELETE),
    ("securityContext.readOnlyRootFilesystem", False),
    ("securityContext.readOnlyRootFilesystem", DELETE),
    ("securityContext.readOnlyRootFilesystem", 1),
    ("securityContext.runAsNonRoot", False),
    ("securityContext.runAsNonRoot", DELETE),
    ("securityContext.runAsUser", 0),
    ("securityContext.runAsUser", "10001"),
    ("securityContext.seccompProfile", DELETE),
    ("securityContext.seccompProfile.type", "Unconfined"),
    ("securityContext.capabilities", DELETE),
    ("securityContext.capabilities.drop", ["NET_RAW"]),
    ("securityContext.capabilities.drop", "ALL"),
    ("securityContext.capabilities.add", ["SYS_ADMIN"]),
    ("securityContext.capabilities.add", ["NET_BIND_SERVICE", "SYS_ADMIN"]),
    ("securityContext.procMount", "Unmasked"),
    ("securityContext.appArmorProfile.type", "Unconfined"),
    ("securityContext.seLinuxOptions.type", "spc_t"),
    ("securityContext.seLinuxOptions.user", "root"),
    ("securityContext.windowsOptions.hostProcess", True),
    ("securityContext", DELETE),
    ("securityContext", []),
    ("ports", [{"containerPort": 80, "hostPort": 80}]),
    ("livenessProbe.httpGet.host", "169.254.169.254"),
    ("readinessProbe.tcpSocket.host", "10.0.0.1"),
    ("startupProbe.httpGet.host", "a"),
    ("lifecycle.preStop.httpGet.host", "a"),
    ("lifecycle.postStart.tcpSocket.host", "a"),
]
RESOURCES = [
    ("resources", DELETE),
    ("resources.limits.memory", DELETE),
    ("resources.limits.cpu", DELETE),
    ("resources.requests.memory", DELETE),
    ("resources.requests.cpu", ""),
    ("resources.limits", []),
]
IN_POD = [
    ("hostNetwork", True),
    ("hostPID", True),
    ("hostIPC", True),
    ("hostNetwork", "true"),
    ("serviceAccountName", DELETE),
    ("serviceAccountName", "default"),
    ("serviceAccountName", ""),
    ("automountServiceAccountToken", True),
    ("automountServiceAccountToken", DELETE),
    ("securityContext.runAsUser", 0),
    ("securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
    ("securityContext.appArmorProfile.type", "Unconfined"),
    ("securityContext.seLinuxOptions.role", "r"),
    ("securityContext.windowsOptions.hostProcess", True),
    ("volumes", [{"name": "x", "hostPath": {"path": "/"}}]),
    ("volumes", [{"name": "x", "nfs": {"server": "a", "path": "/"}}]),
    ("volumes", [{"name": "x", "emptyDir": {}}]),
    ("volumes", [{"name": "x"}]),
    ("volumes", ["x"]),
    ("volumes", "x"),
    ("volumes", [{"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
]


def path_of(text):
    return text.split(".")


def test_the_minimal_pod_passes_in_every_kind(analyze, of_every_kind, make_pod):
    kind, wrap = of_every_kind

    assert analyze(POLICY, kind, wrap(make_pod())) == []


@pytest.mark.parametrize(("path", "value"), IN_POD, ids=str)
def test_a_pod_that_loosens_one_thing_fails(analyze, make_pod, path, value):
    pod = make_pod()
    put(pod["spec"], path_of(path), value)

    assert len(analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}})) == 1


@pytest.mark.parametrize("where", ["containers", "initContainers", "ephemeralContainers"])
@pytest.mark.parametrize("change", IN_CONTAINER, ids=str)
def test_a_container_that_loosens_one_thing_fails_in_every_list(analyze, make_pod, make_container, where, change):
    path, value = change
    pod, container = make_pod(), make_container()
    put(container, path_of(path), value)
    pod["spec"][where] = [make_container(), container]

    messages = analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}})

    assert messages
    assert all(f"spec.{where}[1]" in message for message in messages)


@pytest.mark.parametrize(("path", "value"), [IN_CONTAINER[0], IN_CONTAINER[4], ("image", DELETE)], ids=str)
def test_it_fails_in_every_kind(analyze, of_every_kind, make_pod, path, value):
    kind, wrap = of_every_kind
    pod = make_pod()
    pod["spec"]["hostNetwork"] = True
    put(pod["spec"]["containers"][0], path_of(path), value)

    assert len(analyze(POLICY, kind, wrap(pod))) == 1 + (path != "image")


@pytest.mark.parametrize(("path", "value"), RESOURCES, ids=str)
def test_a_container_without_bounds_fails(analyze, make_pod, path, value):
    pod = make_pod()
    put(pod["spec"]["containers"][0], path_of(path), value)

    messages = analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}})

    assert messages
    assert all("must be given" in message for message in messages)


def test_an_ephemeral_container_needs_no_bounds_for_kubernetes_gives_it_none(analyze, make_pod, make_container):
    pod, debug = make_pod(), make_container()
    del debug["resources"]
    pod["spec"]["ephemeralContainers"] = [debug]

    assert analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}}) == []


def with_gpu(pod):
    pod["spec"] |= {
        "nodeSelector": {"nvidia.com/gpu.present": "true"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "runtimeClassName": "nvidia",
    }
    for part in pod["spec"]["containers"][0]["resources"].values():
        part["nvidia.com/gpu"] = "1"
    return pod


def test_a_gpu_asked_for_as_a_resource_is_allowed(analyze, make_pod, of_every_kind):
    kind, place = of_every_kind

    assert analyze(POLICY, kind, place(with_gpu(make_pod()))) == []


def test_a_gpu_got_in_another_way_or_at_the_price_of_a_rule_is_not(analyze, make_pod):
    by_path, privileged, unbounded = (with_gpu(make_pod()) for _ in range(3))
    put(by_path["spec"], ["volumes"], [{"name": "gpu", "hostPath": {"path": "/dev/nvidia0"}}])
    put(privileged["spec"]["containers"][0], path_of("securityContext.privileged"), True)
    put(unbounded["spec"]["containers"][0], path_of("resources.limits.memory"), DELETE)

    for pod in (by_path, privileged, unbounded):
        assert len(analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}})) == 1


def test_what_the_pod_says_holds_for_its_containers_and_a_container_may_not_undo_it(analyze, make_pod):
    pod = make_pod()
    context = pod["spec"]["containers"][0]["securityContext"]
    pod["spec"]["securityContext"] = {"runAsNonRoot": True, "seccompProfile": context.pop("seccompProfile")}
    del context["runAsNonRoot"]
    undone = copy.deepcopy(pod)
    undone["spec"]["containers"][0]["securityContext"]["runAsNonRoot"] = False

    assert analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}}) == []
    assert len(analyze(POLICY, DEPLOYMENT, {"spec": {"template": undone}})) == 1


def test_only_the_named_accounts_may_hold_a_token(analyze, make_pod):
    pod = make_pod()
    pod["spec"] |= {"serviceAccountName": TOKEN_ACCOUNTS[0], "automountServiceAccountToken": True}

    assert analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}}) == []
    assert violations(DEPLOYMENT, {"spec": {"template": pod}}, token_accounts=["other"]) != []


UNKNOWN_PATHS = [
    "hostNetwork",
    "automountServiceAccountToken",
    "volumes",
    "securityContext",
    "containers",
    "initContainers",
]


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
def test_what_is_unknown_about_a_pod_fails(analyze, make_pod, unknown, path):
    pod = make_pod()
    put(pod["spec"], path_of(path), unknown.object)

    assert analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}}) != []


@pytest.mark.parametrize(
    "path",
    [
        "securityContext",
        "securityContext.privileged",
        "securityContext.readOnlyRootFilesystem",
        "securityContext.capabilities.drop",
        "resources",
        "resources.limits.cpu",
        "livenessProbe.httpGet.host",
    ],
)
def test_what_is_unknown_about_a_container_fails(analyze, make_pod, unknown, path):
    pod = make_pod()
    put(pod["spec"]["containers"][0], path_of(path), unknown.text)

    assert analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}}) != []


def test_an_account_that_is_still_to_be_made_passes_unless_it_would_hold_a_token(analyze, make_pod, unknown):
    pod = make_pod()
    pod["spec"]["serviceAccountName"] = unknown.text
    with_token = copy.deepcopy(pod)
    with_token["spec"]["automountServiceAccountToken"] = True

    assert analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}}) == []
    assert len(analyze(POLICY, DEPLOYMENT, {"spec": {"template": with_token}})) == 1


def test_a_patch_states_its_containers_whole_or_not_at_all(analyze, make_pod):
    kind = f"{DEPLOYMENT}Patch"
    loose = {"spec": {"template": {"spec": {"containers": [{"name": "c", "securityContext": {"privileged": True}}]}}}}

    assert analyze(POLICY, kind, {"metadata": {"name": "x"}, "spec": {"replicas": 2}}) == []
    assert analyze(POLICY, kind, {"spec": {"template": make_pod()}}) == []
    assert analyze(POLICY, kind, loose) != []


def test_everything_wrong_is_reported_at_once(analyze, make_pod):
    pod = make_pod()
    pod["spec"]["hostPID"] = True
    pod["spec"]["containers"][0]["securityContext"]["privileged"] = True
    del pod["spec"]["containers"][0]["resources"]

    assert len(analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}})) == 6


def test_what_makes_no_pods_is_none_of_its_business(analyze):
    assert analyze(POLICY, "kubernetes:core/v1:Secret", {"hostNetwork": True}) == []
    assert analyze(POLICY, "pulumi:pulumi:Stack", {}) == []
