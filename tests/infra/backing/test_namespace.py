import json

from infra.backing.flows import EXTERNAL, FLOWS, OUTSIDE, egress_flows, ingress_flows
from infra.backing.namespace import ACCOUNTS
from infra.backing.network import NetworkArgs

from .conftest import build_platform


def policies(deployed):
    return {one.k8s_name: one.inputs["spec"] for one in deployed.of("NetworkPolicy")}


def test_the_namespace_enforces_restricted_at_a_pinned_version(platform):
    labels = platform.one("Namespace", "ml-staging").inputs["metadata"]["labels"]

    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert labels[f"pod-security.kubernetes.io/{mode}-version"] == "v1.34"


def test_quota_and_default_limits_cover_cpu_memory_and_ephemeral_storage(platform):
    quota = platform.one("ResourceQuota", "quota").inputs["spec"]["hard"]
    (limits,) = platform.one("LimitRange", "limits").inputs["spec"]["limits"]

    for resource in ("cpu", "memory", "ephemeral-storage"):
        assert {f"requests.{resource}", f"limits.{resource}"} <= set(quota)
        assert resource in limits["default"]
        assert resource in limits["defaultRequest"]


def test_every_component_has_an_account_without_a_token(platform):
    accounts = {one.k8s_name: one.inputs for one in platform.of("ServiceAccount")}

    assert set(accounts) == set(ACCOUNTS)
    assert all(account["automountServiceAccountToken"] is False for account in accounts.values())


def test_everything_is_denied_for_every_pod_in_both_directions(platform):
    assert policies(platform)["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_each_flow_is_allowed_at_both_of_its_ends_and_nothing_else_is(platform):
    expected = {"default-deny", "allow-dns"}
    expected |= {f"allow-{flow.name}-in" for flow in ingress_flows()}
    expected |= {f"allow-{flow.name}-out" for flow in egress_flows(webhook=False)}

    assert set(policies(platform)) == expected


def test_serving_pods_may_call_each_other_only_where_the_shadow_is_on(platform, deploy):
    on = policies(deploy(lambda: build_platform(shadow=True)))
    added = {"allow-model-to-model-8000-in", "allow-model-to-model-8000-out"}

    assert set(on) - set(policies(platform)) == added
    assert {name: one for name, one in on.items() if name not in added} == policies(platform)
    (rule,) = on["allow-model-to-model-8000-out"]["egress"]
    assert rule["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "model"
    assert rule["ports"] == [{"protocol": "TCP", "port": 8000}]


def test_a_flow_names_one_port_and_the_pods_of_its_two_ends(platform):
    out = policies(platform)["allow-mlflow-to-postgres-5432-out"]
    into = policies(platform)["allow-mlflow-to-postgres-5432-in"]
    port = [{"protocol": "TCP", "port": 5432}]

    assert out["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "mlflow"
    assert out["egress"][0]["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "postgres"
    assert out["egress"][0]["ports"] == port
    assert into["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "postgres"
    assert into["ingress"][0]["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "mlflow"
    assert into["ingress"][0]["ports"] == port


def test_no_pod_may_go_to_the_whole_internet(platform):
    assert "0.0.0.0/0" not in json.dumps(policies(platform))


def test_name_servers_outside_the_cluster_are_allowed_by_address(deploy):
    deployed = deploy(lambda: build_platform(network=NetworkArgs(dns_cidrs=("10.244.0.1/32",))))
    (rule,) = policies(deployed)["allow-dns"]["egress"]

    assert {"ipBlock": {"cidr": "10.244.0.1/32"}} in rule["to"]
    assert {(port["protocol"], port["port"]) for port in rule["ports"]} == {("UDP", 53), ("TCP", 53)}


def test_clients_can_be_narrowed_and_a_receiver_opened(deploy):
    network = NetworkArgs(client_cidrs=("192.0.2.0/24",), webhook_cidrs=("198.51.100.7/32",))

    found = policies(deploy(lambda: build_platform(network=network)))

    for flow in FLOWS:
        if flow.source == OUTSIDE:
            (rule,) = found[f"allow-{flow.name}-in"]["ingress"]
            assert rule["from"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
    (rule,) = found["allow-alertmanager-to-webhook-443-out"]["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": "198.51.100.7/32"}}]


def test_the_table_has_no_flow_twice_and_every_flow_a_reason():
    assert len({flow.name for flow in FLOWS}) == len(FLOWS)
    assert all(flow.why for flow in FLOWS)
    assert all(flow.source not in EXTERNAL or flow.target not in EXTERNAL for flow in FLOWS)


def test_each_flow_ends_at_a_port_that_the_target_listens_on(platform):
    listening = {
        one.k8s_name: {
            port["containerPort"] for port in one.inputs["spec"]["template"]["spec"]["containers"][0]["ports"]
        }
        for kind in ("Deployment", "StatefulSet", "DaemonSet")
        for one in platform.of(kind)
    }

    for flow in ingress_flows():
        if flow.target != "model":  # its port is in infra.names
            assert flow.port in listening[flow.target], flow.name
