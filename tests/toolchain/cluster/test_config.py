import base64
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml.errors import SurroundingsError
from toolchain.cluster import components, config, objects
from toolchain.cluster.layout import MAX_SOCKET_BYTES, NODE_IP, PAUSE_IMAGE, Layout

LAYOUT = Layout(root=Path("/srv/mlp/cluster"))
BINARIES = {name: Path("/opt") / name for name in (*components.HOST_PROGRAMS, *components.BUILT_PROGRAMS)}
TABLE = components.table(LAYOUT, BINARIES)


def rendered() -> dict[str, str]:
    files = config.render(LAYOUT, Path("/etc/resolv.conf"))
    return {path.name: text for path, text in files.items()}


def test_every_file_stays_below_the_root() -> None:
    assert all(path.is_relative_to(LAYOUT.root) for path in config.render(LAYOUT, Path("/etc/resolv.conf")))


def test_containerd_pulls_no_sandbox_image_and_lowers_no_oom_score() -> None:
    cri = tomllib.loads(rendered()["containerd.toml"])["plugins"]["io.containerd.grpc.v1.cri"]

    assert cri["sandbox_image"] == PAUSE_IMAGE
    assert cri["restrict_oom_score_adj"] is True
    assert cri["registry"]["mirrors"]["127.0.0.1:5000"]["endpoint"] == ["http://127.0.0.1:5000"]


def test_a_root_with_quotes_and_spaces_still_gives_valid_toml() -> None:
    layout = Layout(root=Path('/srv/a "b" c/cluster'))

    assert tomllib.loads(config.containerd(layout))["root"] == '/srv/a "b" c/cluster/containerd'


def test_the_kubelet_is_closed_to_strangers_and_keeps_our_images() -> None:
    kubelet = yaml.safe_load(rendered()["kubelet.yaml"])

    assert kubelet["authentication"]["anonymous"]["enabled"] is False
    assert kubelet["authorization"]["mode"] == "Webhook"
    assert kubelet["imageGCHighThresholdPercent"] == 100
    assert kubelet["cgroupDriver"] == "cgroupfs"
    assert kubelet["seccompDefault"] is True


def test_node_ports_answer_on_loopback_only() -> None:
    proxy = yaml.safe_load(rendered()["proxy.yaml"])

    assert (proxy["mode"], proxy["nodePortAddresses"]) == ("iptables", ["127.0.0.0/8"])


def test_pods_without_a_chosen_level_are_held_to_baseline() -> None:
    plugin = yaml.safe_load(rendered()["admission.yaml"])["plugins"][0]["configuration"]

    assert (plugin["defaults"]["enforce"], plugin["defaults"]["warn"]) == ("baseline", "restricted")
    assert plugin["exemptions"]["namespaces"] == []


def test_the_bridge_gives_out_the_pod_range_and_leaves_masquerading_to_us() -> None:
    plugin = json.loads(rendered()["10-ml-pipeline.conflist"])["plugins"][0]

    assert plugin["ipam"]["ranges"] == [[{"subnet": "10.244.0.0/24", "gateway": NODE_IP}]]
    assert plugin["ipMasq"] is False


def test_a_kubeconfig_needs_no_other_file() -> None:
    parsed = yaml.safe_load(config.kubeconfig("https://h:1", b"CA", b"CERT", b"KEY"))

    assert base64.b64decode(parsed["users"][0]["user"]["client-key-data"]) == b"KEY"
    assert parsed["clusters"][0]["cluster"]["server"] == "https://h:1"
    assert parsed["current-context"] == parsed["contexts"][0]["name"]


def test_each_component_comes_after_what_it_needs() -> None:
    seen: set[str] = set()
    for component in TABLE.values():
        assert seen.issuperset(component.after), component.name
        seen.add(component.name)


def test_no_two_components_want_the_same_port() -> None:
    wanted = components.wanted_ports(TABLE.values())

    assert len({(address, port) for _, address, port in wanted}) == len(wanted)


def test_nothing_listens_outside_loopback_and_the_bridge() -> None:
    assert {address for _, address, _ in components.wanted_ports(TABLE.values())} == {"127.0.0.1", NODE_IP}


@pytest.mark.parametrize("flag", ["--anonymous-auth=false", "--authorization-mode=Node,RBAC", "--profiling=false"])
def test_the_api_server_is_closed(flag: str) -> None:
    assert flag in TABLE["apiserver"].argv


def test_no_component_is_given_a_token_file_or_a_secret_argument() -> None:
    assert not [word for part in TABLE.values() for word in part.argv if "token" in word or "password" in word]


def test_a_root_whose_sockets_do_not_fit_is_refused_with_the_excess() -> None:
    fitting = Layout(root=Path("/" + "x" * 40))
    fitting.check_sockets()

    with pytest.raises(SurroundingsError, match=rf"ML-CLUSTER-006.*limit of {MAX_SOCKET_BYTES}") as caught:
        Layout(root=Path("/" + "x" * 90)).check_sockets()
    assert "MLP_HOME" in caught.value.fix


def test_the_limit_is_exact_and_counts_bytes_not_characters() -> None:
    suffix = max(len(str(path).removeprefix("/r")) for path in Layout(root=Path("/r")).sockets())
    Layout(root=Path("/" + "x" * (MAX_SOCKET_BYTES - suffix - 1))).check_sockets()

    for name in ("x" * (MAX_SOCKET_BYTES - suffix), "é" * ((MAX_SOCKET_BYTES - suffix) // 2 + 1)):
        with pytest.raises(SurroundingsError):
            Layout(root=Path("/" + name)).check_sockets()


def rules_of(user: str) -> list[dict[str, Any]]:
    manifests = [manifest for _, manifest in objects.manifests(b"CA")]
    bound = {
        manifest["roleRef"]["name"]
        for manifest in manifests
        if manifest["kind"] == "ClusterRoleBinding" and manifest["subjects"][0]["name"] == user
    }
    roles = [m for m in manifests if m["kind"] == "ClusterRole" and m["metadata"]["name"] in bound]
    return [rule for role in roles for rule in role["rules"]]


@pytest.mark.parametrize("user", ["system:coredns", "system:metrics-server", "ml-pipeline:volumes"])
def test_the_nodes_processes_may_do_no_more_than_they_need(user: str) -> None:
    rules = rules_of(user)

    assert rules
    for rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert "secrets" not in rule["resources"]


def test_every_object_is_applied_at_its_own_path() -> None:
    for path, manifest in objects.manifests(b"CA"):
        assert path.endswith("/" + manifest["metadata"]["name"])


def test_the_metrics_api_trusts_our_authority_and_points_to_the_node() -> None:
    by_kind = {manifest["kind"]: manifest for _, manifest in objects.manifests(b"CA")}

    assert base64.b64decode(by_kind["APIService"]["spec"]["caBundle"]) == b"CA"
    assert "selector" not in by_kind["Service"]["spec"]
    assert by_kind["EndpointSlice"]["endpoints"][0]["addresses"] == [NODE_IP]
