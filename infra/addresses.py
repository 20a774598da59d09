"""What to type to reach a Service, from its outputs."""

from typing import Final

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
    inside = pulumi.Output.concat(service.metadata.name, ".", service.metadata.namespace, ".svc")

    def of_type(spec: ServiceSpec) -> pulumi.Output[str] | str:
        port = (spec.ports or [])[0]
        if spec.type == "NodePort":
            return f"http://{node_host}:{port.node_port}"
        # Only here does the status matter: elsewhere the URL is known in the preview.
        host = service.status.apply(_balancer) if spec.type == "LoadBalancer" else inside
        return host.apply(lambda host: _with_port(host, port.port) if host else PENDING)

    found: pulumi.Output[str] = service.spec.apply(of_type)
    return found


def _balancer(status: ServiceStatus | None) -> str:
    balancer = status.load_balancer if status is not None else None
    hosts = [entry.ip or entry.hostname for entry in (balancer.ingress if balancer is not None else None) or []]
    return hosts[0] or "" if hosts else ""


def _with_port(host: str, port: int) -> str:
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"
