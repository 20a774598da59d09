"""What measures the machine and the cluster for Prometheus: node-exporter and kube-state-metrics."""

from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import DaemonSet, DaemonSetSpecArgs
from pulumi_kubernetes.core.v1 import PodSpecArgs
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.rbac.v1 import (
    PolicyRuleArgs,
)

from infra.backing.pods import Resources, container, http_probe, pod_spec
from infra.backing.rights import allow
from infra.backing.workloads import Identity, deployment, scrape_service, service

NODE_PORT: Final = 9100
STATE_PORT: Final = 8080
_STATE_SELF_PORT: Final = 8081

# No host path is mounted (`restricted` forbids it), so these are the collectors whose files are the node's own even
# inside a container: /proc is not namespaced for them, and the container's root lies on the node's disk. Network
# figures would be the pod's.
_COLLECTORS: Final = (
    "cpu",
    "diskstats",
    "filefd",
    "filesystem",
    "loadavg",
    "meminfo",
    "stat",
    "time",
    "uname",
    "vmstat",
)

# API group -> what kube-state-metrics may list and watch in its namespace. No secrets, no configmaps.
_WATCHED: Final = {
    "": ("persistentvolumeclaims", "pods", "resourcequotas", "services"),
    "apps": ("daemonsets", "deployments", "replicasets", "statefulsets"),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "policy": ("poddisruptionbudgets",),
}


@dataclass(frozen=True, kw_only=True)
class NodeExporterArgs:
    """One pod on each node."""

    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    """`images/prometheus`, by digest."""
    service_account: pulumi.Input[str]
    resources: Resources = field(
        default_factory=lambda: Resources(
            cpu_request="20m", memory_request="24Mi", cpu_limit="200m", memory_limit="64Mi"
        ),
    )


class NodeExporter(pulumi.ComponentResource):
    """DaemonSet and headless Service of node-exporter, with the collectors that work without the host's files."""

    port: int
    """Where each pod shows its metrics."""

    def __init__(self, name: str, args: NodeExporterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:backing:NodeExporter", name, None, opts)
        of = Identity(name="node-exporter", component="monitoring", namespace=args.namespace, parent=self)
        DaemonSet(
            of.name,
            metadata=of.metadata(),
            spec=DaemonSetSpecArgs(
                selector=LabelSelectorArgs(match_labels=of.selector),
                template=of.template(_node_pod(args)),
            ),
            opts=of.opts,
        )
        scrape_service(of, NODE_PORT, name=of.name)
        self.port = NODE_PORT
        self.register_outputs({"port": self.port})


def _node_pod(args: NodeExporterArgs) -> PodSpecArgs:
    return pod_spec(
        service_account=args.service_account,
        containers=[
            container(
                "node-exporter",
                image=args.image,
                resources=args.resources,
                command=["prometheus-node-exporter"],
                args=[
                    f"--web.listen-address=:{NODE_PORT}",
                    "--collector.disable-defaults",
                    *(f"--collector.{collector}" for collector in _COLLECTORS),
                    # Of all mounts only the root says something about the node; its type, overlay, is left out by
                    # default.
                    "--collector.filesystem.mount-points-exclude=^/.+",
                    "--collector.filesystem.fs-types-exclude=^(tmpfs|proc|sysfs)$",
                ],
                ports={"main": NODE_PORT},
                readiness=http_probe("/", NODE_PORT),
                liveness=http_probe("/", NODE_PORT, period_s=30, failures=5),
            ),
        ],
    )


@dataclass(frozen=True, kw_only=True)
class StateMetricsArgs:
    """One instance that sees its own namespace only."""

    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    """`images/kube-state-metrics`, by digest."""
    service_account: pulumi.Input[str]
    resources: Resources = field(
        default_factory=lambda: Resources(
            cpu_request="20m", memory_request="48Mi", cpu_limit="200m", memory_limit="128Mi"
        ),
    )


class StateMetrics(pulumi.ComponentResource):
    """Deployment, Service and the one Role of the platform: kube-state-metrics lists its namespace's objects."""

    port: int
    """Where it shows its metrics."""

    def __init__(self, name: str, args: StateMetricsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:backing:StateMetrics", name, None, opts)
        of = Identity(name="kube-state-metrics", component="monitoring", namespace=args.namespace, parent=self)
        listing = [
            PolicyRuleArgs(api_groups=[group], resources=list(resources), verbs=["list", "watch"])
            for group, resources in _WATCHED.items()
        ]
        allow(of, args.service_account, listing)
        deployment(of, _state_pod(args))
        service(of, STATE_PORT)
        self.port = STATE_PORT
        self.register_outputs({"port": self.port})


def _state_pod(args: StateMetricsArgs) -> PodSpecArgs:
    watched = sorted(resource for resources in _WATCHED.values() for resource in resources)
    return pod_spec(
        service_account=args.service_account,
        token=True,
        containers=[
            container(
                "kube-state-metrics",
                image=args.image,
                resources=args.resources,
                args=[
                    pulumi.Output.format("--namespaces={0}", args.namespace),
                    f"--resources={','.join(watched)}",
                    f"--port={STATE_PORT}",
                    f"--telemetry-port={_STATE_SELF_PORT}",
                ],
                ports={"main": STATE_PORT, "telemetry": _STATE_SELF_PORT},
                readiness=http_probe("/readyz", _STATE_SELF_PORT),
                # Not /livez: it asks the API server, and a restart does not mend that.
                liveness=http_probe("/healthz", STATE_PORT, period_s=30, failures=5),
            ),
        ],
    )
