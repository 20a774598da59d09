"""What to type to reach a Service, from its outputs."""

import pulumi
from pulumi_kubernetes.core.v1 import Service
from pulumi_kubernetes.core.v1.outputs import ServiceSpec, ServiceStatus
from pulumi_kubernetes.meta.v1.outputs import ObjectMeta


def url(service: Service, node_host: str) -> pulumi.Output[str]:
    """The URL of a Service's first port, from outside the cluster where the Service can be reached from there.

    Args:
        service: Of any type.
        node_host: Host part for a NodePort: the address of a node.
    """
    parts = pulumi.Output.all(metadata=service.metadata, spec=service.spec, status=service.status)
    return parts.apply(lambda found: _url(found["metadata"], found["spec"], found["status"], node_host))


def _url(metadata: ObjectMeta, spec: ServiceSpec, status: ServiceStatus | None, node_host: str) -> str:
    port = (spec.ports or [])[0]
    if spec.type == "NodePort":
        return f"http://{node_host}:{port.node_port}"
    if spec.type == "LoadBalancer":
        balancer = status.load_balancer if status is not None else None
        entries = (balancer.ingress if balancer is not None else None) or []
        hosts = [entry.ip or entry.hostname or "" for entry in entries]
        return _with_port(hosts[0], port.port) if hosts else "pending: kubectl get services shows the address"
    return _with_port(f"{metadata.name}.{metadata.namespace}.svc", port.port)


def _with_port(host: str, port: int) -> str:
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"
