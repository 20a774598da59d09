"""NetworkPolicies from the table of flows: deny everything, then allow each connection at both of its ends.

The local cluster's CNI (the plain bridge) does not enforce NetworkPolicies: there they are objects without effect, and
nothing in this repository claims otherwise. They are written for a CNI that enforces them; see docs/network.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicy,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from infra import names
from infra.backing.flows import API_SERVER, FLOWS, GPU_EXPORTER, OUTSIDE, WEBHOOK, Flow, egress_flows, ingress_flows

PRIVATE_CIDRS: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""RFC 1918: where cluster DNS and API servers are, whoever runs the cluster."""

_DNS_PORTS: Final = (("UDP", 53), ("TCP", 53))


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Addresses that only the cluster's owner knows; narrow them where they are known."""

    dns_cidrs: tuple[str, ...] = PRIVATE_CIDRS
    """Name servers that are not pods in kube-system: a node-local cache, or the local cluster's at 10.244.0.1."""
    api_server_cidrs: tuple[str, ...] = PRIVATE_CIDRS
    client_cidrs: tuple[str, ...] = ()
    """Who may call from outside the namespace; empty: anyone who can reach the Service."""
    webhook_cidrs: tuple[str, ...] = ()
    """Where Alertmanager's receiver is; empty: none."""
    gpu_exporter: tuple[str, Mapping[str, str]] | None = None
    """Namespace and labels of the DCGM exporter's pods; None: it is not scraped."""


def policies(
    namespace: pulumi.Input[str], args: NetworkArgs, parent: pulumi.Resource, flows: Iterable[Flow] = FLOWS
) -> list[NetworkPolicy]:
    """Every policy of the namespace."""
    allowed = tuple(flows)
    specs = {"default-deny": _deny(), "dns": _dns(args)}
    for flow in ingress_flows(allowed):
        specs[f"{flow.name}-in"] = _ingress(flow, args)
    for flow in egress_flows(allowed, webhook=bool(args.webhook_cidrs), gpu_exporter=args.gpu_exporter is not None):
        specs[f"{flow.name}-out"] = _egress(flow, args)
    return [
        NetworkPolicy(
            f"allow-{name}" if name != "default-deny" else name,
            metadata=ObjectMetaArgs(
                name=f"allow-{name}" if name != "default-deny" else name,
                namespace=namespace,
                labels=names.labels("network", "namespace"),
            ),
            spec=spec,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        for name, spec in specs.items()
    ]


def _deny() -> NetworkPolicySpecArgs:
    return NetworkPolicySpecArgs(pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"])


def _dns(args: NetworkArgs) -> NetworkPolicySpecArgs:
    kube_system = NetworkPolicyPeerArgs(namespace_selector=_space("kube-system"))
    return NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(),
        policy_types=["Egress"],
        egress=[
            NetworkPolicyEgressRuleArgs(
                to=[kube_system, *_blocks(args.dns_cidrs)],
                ports=[NetworkPolicyPortArgs(protocol=protocol, port=port) for protocol, port in _DNS_PORTS],
            ),
        ],
    )


def _ingress(flow: Flow, args: NetworkArgs) -> NetworkPolicySpecArgs:
    sources = _blocks(args.client_cidrs) if flow.source == OUTSIDE else [_pods(flow.source)]
    return NetworkPolicySpecArgs(
        pod_selector=_selector(flow.target),
        policy_types=["Ingress"],
        ingress=[NetworkPolicyIngressRuleArgs(from_=sources or None, ports=_ports(flow.port))],
    )


def _egress(flow: Flow, args: NetworkArgs) -> NetworkPolicySpecArgs:
    if flow.target == API_SERVER:
        # The Service's port or the server's own: CNIs differ in which of the two a policy sees.
        to, ports = _blocks(args.api_server_cidrs), [*_ports(flow.port), *_ports(443)]
    elif flow.target == WEBHOOK:
        to, ports = _blocks(args.webhook_cidrs), _ports(flow.port)
    elif flow.target == GPU_EXPORTER and args.gpu_exporter is not None:
        to, ports = [_elsewhere(*args.gpu_exporter)], _ports(flow.port)
    else:
        to, ports = [_pods(flow.target)], _ports(flow.port)
    return NetworkPolicySpecArgs(
        pod_selector=_selector(flow.source),
        policy_types=["Egress"],
        egress=[NetworkPolicyEgressRuleArgs(to=to, ports=ports)],
    )


def _selector(name: str) -> LabelSelectorArgs:
    return LabelSelectorArgs(match_labels=names.selector(name))


def _pods(name: str) -> NetworkPolicyPeerArgs:
    return NetworkPolicyPeerArgs(pod_selector=_selector(name))


def _elsewhere(space: str, pods: Mapping[str, str]) -> NetworkPolicyPeerArgs:
    """Pods of another namespace."""
    selector = LabelSelectorArgs(match_labels=dict(pods))
    return NetworkPolicyPeerArgs(namespace_selector=_space(space), pod_selector=selector)


def _space(name: str) -> LabelSelectorArgs:
    return LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": name})


def _blocks(cidrs: Sequence[str]) -> list[NetworkPolicyPeerArgs]:
    return [NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=cidr)) for cidr in cidrs]


def _ports(port: int) -> list[NetworkPolicyPortArgs]:
    return [NetworkPolicyPortArgs(protocol="TCP", port=port)]
