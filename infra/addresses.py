"""What to type to reach a Service, from its outputs."""

from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi_kubernetes.core.v1 import Service
from pulumi_kubernetes.core.v1.outputs import ServiceSpec, ServiceStatus

PENDING: Final = "pending: kubectl get services shows the address"


def url(service: Service, node_host: str) -> pulumi.Output[str]:
    """The URL of a Service's first port, from outside the cluster where the Service can be reached from there.

    Args:
        service: Of any type.
        node_host: Host part for a NodePort: the address of a node.
    """
    # `Output.all` turns typed values into plain dicts, so each is reduced to text and numbers first.
    facts = pulumi.Output.all(
        name=service.metadata.name,
        namespace=service.metadata.namespace,
        port=service.spec.apply(_port),
        balancer=service.status.apply(_balancer),
    )
    return facts.apply(lambda found: _url(found["port"], found, node_host))


def _port(spec: ServiceSpec) -> dict[str, str | int | None]:
    first = (spec.ports or [])[0]
    return {"type": spec.type, "port": first.port, "node_port": first.node_port}


def _balancer(status: ServiceStatus | None) -> str:
    balancer = status.load_balancer if status is not None else None
    hosts = [entry.ip or entry.hostname for entry in (balancer.ingress if balancer is not None else None) or []]
    return hosts[0] or "" if hosts else ""


def _url(port: Mapping[str, Any], found: Mapping[str, Any], node_host: str) -> str:
    if port["type"] == "NodePort":
        return f"http://{node_host}:{port['node_port']}"
    if port["type"] == "LoadBalancer":
        return _with_port(found["balancer"], port["port"]) if found["balancer"] else PENDING
    return _with_port(f"{found['name']}.{found['namespace']}.svc", port["port"])


def _with_port(host: str, port: int) -> str:
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"
