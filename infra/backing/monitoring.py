"""Prometheus and Alertmanager, configured from the files in `infra/monitoring`, and the exporters they watch with."""

from dataclasses import dataclass, field
from typing import Any, Final

import pulumi
from pulumi_kubernetes.core.v1 import PodSpecArgs, Secret, Service

from infra import names
from infra.backing import monitoring_files
from infra.backing.exporters import NodeExporter, NodeExporterArgs, StateMetrics, StateMetricsArgs
from infra.backing.pods import (
    Resources,
    claim_volume,
    config_volume,
    container,
    http_probe,
    mount,
    pod_spec,
    scratch,
    secret_volume,
)
from infra.backing.pushes import Pushgateway, PushgatewayArgs
from infra.backing.workloads import Exposure, Identity, claim, config, deployment, scrape_service, service
from infra.config_reader import size_bytes
from infra.gpu_settings import ExporterSettings
from infra.names import SLOTS, Slot

PROMETHEUS_PORT: Final = 9090
ALERTMANAGER_PORT: Final = 9093

_COMPONENT: Final = "monitoring"
_DATA: Final = "/var/lib/prometheus"
# Prometheus deletes whole blocks only, and its write-ahead log comes on top of what it counts.
_RETENTION_SHARE: Final = 0.8
_MIB: Final = 2**20


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """The pods' ServiceAccounts."""

    prometheus: pulumi.Input[str]
    alertmanager: pulumi.Input[str]
    node_exporter: pulumi.Input[str]
    state_metrics: pulumi.Input[str]
    pushgateway: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """One stack's monitoring."""

    namespace: pulumi.Input[str]
    stack: str
    """Becomes the label `stack` of every alert."""
    namespace_name: str
    """As text: of all GPUs that an exporter measures only those of this namespace's pods are kept."""
    image: pulumi.Input[str]
    """`images/prometheus`, by digest."""
    state_metrics_image: pulumi.Input[str]
    """`images/kube-state-metrics`, by digest."""
    accounts: Accounts
    gpu_exporter: ExporterSettings | None = None
    """None: no GPU is watched."""
    storage: str = "10Gi"
    storage_class: str = ""
    retention_days: int = 15
    prometheus_exposure: Exposure = field(default_factory=Exposure)
    alertmanager_exposure: Exposure = field(default_factory=Exposure)
    runbook_base: str = ""
    """Put before `docs/runbooks/` in every alert, such as `https://HOST/OWNER/REPO/blob/main/`."""
    webhook_url: pulumi.Input[str] = ""
    """Receives every notification; empty: alerts stand in the UI and are sent nowhere."""
    prometheus_resources: Resources = field(
        default_factory=lambda: Resources(
            cpu_request="60m", memory_request="192Mi", cpu_limit="1", memory_limit="768Mi"
        ),
    )
    alertmanager_resources: Resources = field(
        default_factory=lambda: Resources(
            cpu_request="20m", memory_request="32Mi", cpu_limit="200m", memory_limit="128Mi"
        ),
    )


class Monitoring(pulumi.ComponentResource):
    """Prometheus with its volume, Alertmanager, the exporters and the Pushgateway."""

    prometheus_url: pulumi.Output[str]
    """Address inside the cluster, known once Prometheus is ready."""
    alertmanager_url: pulumi.Output[str]
    """Address inside the cluster, known once Alertmanager is ready."""
    push_url: pulumi.Output[str]
    """Where jobs that end leave their figures; inside the cluster."""
    prometheus_service: Service
    alertmanager_service: Service

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:backing:Monitoring", name, None, opts)
        within = pulumi.ResourceOptions(parent=self)
        NodeExporter(
            f"{name}-node-exporter",
            NodeExporterArgs(namespace=args.namespace, image=args.image, service_account=args.accounts.node_exporter),
            within,
        )
        StateMetrics(
            f"{name}-state-metrics",
            StateMetricsArgs(
                namespace=args.namespace,
                image=args.state_metrics_image,
                service_account=args.accounts.state_metrics,
            ),
            within,
        )
        self.push_url = Pushgateway(
            f"{name}-pushgateway",
            PushgatewayArgs(namespace=args.namespace, image=args.image, service_account=args.accounts.pushgateway),
            within,
        ).url
        for slot in SLOTS:
            self._slot_targets(slot, args)
        self.alertmanager_service, self.alertmanager_url = self._alertmanager(args)
        self.prometheus_service, self.prometheus_url = self._prometheus(args)
        self.register_outputs({"prometheus_url": self.prometheus_url, "alertmanager_url": self.alertmanager_url})

    def _slot_targets(self, slot: Slot, args: MonitoringArgs) -> None:
        """The pods of a slot as DNS addresses; it exists before the slot does, and then has none."""
        of = Identity(name=names.MODEL, component=_COMPONENT, namespace=args.namespace, parent=self)
        scrape_service(
            of, names.CONTAINER_PORT, name=f"{names.slot_name(slot)}-pods", selector=names.selector(names.MODEL, slot)
        )

    def _alertmanager(self, args: MonitoringArgs) -> tuple[Service, pulumi.Output[str]]:
        of = Identity(name="alertmanager", component=_COMPONENT, namespace=args.namespace, parent=self)
        url = pulumi.Output.secret(args.webhook_url)
        # A Secret, because a webhook's address often holds its token. Auto-named: a change makes a new one and rolls
        # the pod.
        settings = Secret(
            f"{of.name}-config",
            metadata=of.metadata(name=""),
            string_data=url.apply(monitoring_files.alertmanager_files),
            immutable=True,
            opts=of.opts,
        )
        server = deployment(of, _alertmanager_pod(args, settings.metadata.name))
        front = service(of, ALERTMANAGER_PORT, exposure=args.alertmanager_exposure)
        return front, _url(server.metadata.name, args.namespace, ALERTMANAGER_PORT)

    def _prometheus(self, args: MonitoringArgs) -> tuple[Service, pulumi.Output[str]]:
        of = Identity(name="prometheus", component=_COMPONENT, namespace=args.namespace, parent=self)
        exporter, jobs = args.gpu_exporter, list[dict[str, Any]]()
        if exporter is not None:
            jobs.append(monitoring_files.gpu_job(exporter.service, exporter.namespace, args.namespace_name))
        settings = config(of, "config", monitoring_files.prometheus_files(jobs))
        rules = config(of, "rules", monitoring_files.rule_files(args.runbook_base, gpu=exporter is not None))
        data = claim(of, args.storage, args.storage_class)
        pod = _prometheus_pod(args, settings.metadata.name, rules.metadata.name, data.metadata.name)
        server = deployment(of, pod)
        front = service(of, PROMETHEUS_PORT, exposure=args.prometheus_exposure)
        return front, _url(server.metadata.name, args.namespace, PROMETHEUS_PORT)


def retention_size_mib(storage: str) -> int:
    """How much Prometheus may keep on a volume of that size, in MiB.

    Raises:
        ValueError: If `storage` is no size.
    """
    size = size_bytes(storage)
    if size is None:
        raise ValueError(f"storage {storage!r} is no size such as 10Gi")
    return int(size * _RETENTION_SHARE) // _MIB


def _url(host: pulumi.Input[str], namespace: pulumi.Input[str], port: int) -> pulumi.Output[str]:
    return pulumi.Output.format("http://{0}.{1}.svc:{2}", host, namespace, port)


def _prometheus_flags(args: MonitoringArgs) -> list[str]:
    return [
        "--config.file=/etc/prometheus/config/prometheus.yml",
        f"--storage.tsdb.path={_DATA}",
        f"--storage.tsdb.retention.time={args.retention_days}d",
        f"--storage.tsdb.retention.size={retention_size_mib(args.storage)}MB",
        f"--web.listen-address=:{PROMETHEUS_PORT}",
        "--enable-feature=expand-external-labels",
    ]


def _prometheus_pod(
    args: MonitoringArgs, settings: pulumi.Input[str], rules: pulumi.Input[str], data: pulumi.Input[str]
) -> PodSpecArgs:
    server = container(
        "prometheus",
        image=args.image,
        resources=args.prometheus_resources,
        command=["prometheus"],
        args=_prometheus_flags(args),
        env={"STACK": args.stack},
        ports={"main": PROMETHEUS_PORT},
        mounts=[
            mount("config", "/etc/prometheus/config"),
            mount("rules", "/etc/prometheus/rules"),
            mount("data", _DATA, read_only=False),
            mount("tmp", "/tmp", read_only=False),  # noqa: S108  (a volume of its own in the container)
        ],
        # After a kill it replays its write-ahead log before it answers.
        startup=http_probe("/-/ready", PROMETHEUS_PORT, period_s=3, failures=100),
        readiness=http_probe("/-/ready", PROMETHEUS_PORT),
        liveness=http_probe("/-/healthy", PROMETHEUS_PORT, period_s=20, failures=5),
    )
    return pod_spec(
        service_account=args.accounts.prometheus,
        containers=[server],
        volumes=[
            config_volume("config", settings),
            config_volume("rules", rules),
            claim_volume("data", data),
            scratch("tmp"),
        ],
        # It writes its memory to the volume before it ends.
        grace_s=120,
    )


def _alertmanager_pod(args: MonitoringArgs, settings: pulumi.Input[str]) -> PodSpecArgs:
    server = container(
        "alertmanager",
        image=args.image,
        resources=args.alertmanager_resources,
        command=["prometheus-alertmanager"],
        args=[
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/var/lib/alertmanager",
            f"--web.listen-address=:{ALERTMANAGER_PORT}",
            # One instance: no gossip, no second port.
            "--cluster.listen-address=",
        ],
        ports={"main": ALERTMANAGER_PORT},
        mounts=[
            mount("config", "/etc/alertmanager"),
            mount("data", "/var/lib/alertmanager", read_only=False),
        ],
        readiness=http_probe("/-/ready", ALERTMANAGER_PORT),
        liveness=http_probe("/-/healthy", ALERTMANAGER_PORT, period_s=20, failures=5),
    )
    return pod_spec(
        service_account=args.accounts.alertmanager,
        containers=[server],
        # Silences end with the pod; alerts do not, Prometheus sends them again.
        volumes=[secret_volume("config", settings), scratch("data", "64Mi")],
    )
