"""Who talks to whom in a stack's namespace: the one table that every NetworkPolicy comes from.

Pure. Everything is denied, then each flow of `FLOWS` is allowed at both ends. A connection that is not in the table
does not exist in the design. Components are the `app.kubernetes.io/name` of pods.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

OUTSIDE: Final = "outside"
"""Clients beyond the namespace: people at a NodePort or load balancer, and the kubelet's probes on some CNIs."""
API_SERVER: Final = "api-server"
WEBHOOK: Final = "webhook"
"""Where Alertmanager sends notifications; opened only when a receiver is configured."""

GPU_EXPORTER: Final = "gpu-exporter"
"""The cluster's DCGM exporter, in a namespace of its own; opened only where it is scraped."""
GPU_EXPORTER_PORT: Final = 9400
"""Of every DCGM exporter."""

External = Literal["outside", "api-server", "webhook", "gpu-exporter"]
EXTERNAL: Final = (OUTSIDE, API_SERVER, WEBHOOK, GPU_EXPORTER)


@dataclass(frozen=True, kw_only=True, order=True)
class Flow:
    """One allowed connection."""

    source: str
    target: str
    port: int
    why: str

    @property
    def name(self) -> str:
        """Name of its policies, unique in the table."""
        return f"{self.source}-to-{self.target}-{self.port}"


def flow(source: str, target: str, port: int, why: str) -> Flow:
    """A row of the table."""
    return Flow(source=source, target=target, port=port, why=why)


FLOWS: Final[tuple[Flow, ...]] = (
    flow(OUTSIDE, "model", 8000, "predictions"),
    flow(OUTSIDE, "mlflow", 5000, "the tracking UI, and `mlp release publish`"),
    flow(OUTSIDE, "prometheus", 9090, "the monitoring UI"),
    flow(OUTSIDE, "alertmanager", 9093, "the alerts UI"),
    flow("mlflow", "postgres", 5432, "runs, the registry and users"),
    flow("prometheus", "model", 8000, "scrape"),
    flow("prometheus", "mlflow", 9101, "scrape"),
    flow("prometheus", "alertmanager", 9093, "alerts, and scrape"),
    flow("prometheus", "node-exporter", 9100, "scrape"),
    flow("prometheus", "kube-state-metrics", 8080, "scrape"),
    flow("prometheus", GPU_EXPORTER, GPU_EXPORTER_PORT, "scrape"),
    flow("drift-check", "prometheus", 9090, "live feature counts"),
    flow("smoke", "model", 8000, "golden rows, before a slot may have traffic"),
    flow("analysis", "model", 8000, "probes, where clients send too little to judge by"),
    flow("analysis", "prometheus", 9090, "the counters of both slots"),
    flow("analysis", API_SERVER, 6443, "takes the traffic back on a breach"),
    flow("search", "postgres", 5432, "the study that the workers share"),
    flow("retrain", "mlflow", 5000, "the candidate, and when the last one was trained"),
    flow("retrain", "prometheus", 9090, "whether the drift alert fires"),
    flow("batch", "pushgateway", 9091, "the sum of a run"),
    flow("retrain", "pushgateway", 9091, "what became of the rows it trained on"),
    flow("prometheus", "pushgateway", 9091, "scrape"),
    flow("kube-state-metrics", API_SERVER, 6443, "the state of the namespace's objects"),
    flow("alertmanager", WEBHOOK, 443, "notifications"),
)

SHADOW: Final = flow("model", "model", 8000, "requests that the live slot mirrors to the idle one")
"""Only where a stack asks for it."""


def flows_of(*, shadow: bool) -> tuple[Flow, ...]:
    """The table of a stack."""
    return (*FLOWS, SHADOW) if shadow else FLOWS


def ingress_flows(flows: Iterable[Flow] = FLOWS) -> list[Flow]:
    """Flows that end in a pod of ours."""
    return [flow for flow in flows if flow.target not in EXTERNAL]


def egress_flows(flows: Iterable[Flow] = FLOWS, *, webhook: bool, gpu_exporter: bool = False) -> list[Flow]:
    """Flows that start in a pod of ours; the webhook's and the GPU exporter's only when there is one."""
    closed = {target for target, there in ((WEBHOOK, webhook), (GPU_EXPORTER, gpu_exporter)) if not there}
    return [flow for flow in flows if flow.source not in EXTERNAL and flow.target not in closed]
