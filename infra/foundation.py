"""What stands before any model: the namespace, its credentials, tracking and monitoring, wired together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from infra.addresses import url
from infra.backing.images import problem_package
from infra.backing.monitoring import Accounts, Monitoring, MonitoringArgs
from infra.backing.namespace import Namespace, NamespaceArgs
from infra.backing.network import NetworkArgs
from infra.backing.postgres import Postgres, PostgresArgs
from infra.backing.tracking import Tracking, TrackingArgs
from infra.backing.workloads import Exposure
from infra.credentials import Credentials, CredentialsArgs
from infra.names import TRAINING_IMAGE
from infra.quota import quota
from infra.settings import Settings
from infra.workloads.training import Training, TrainingArgs


@dataclass(frozen=True, kw_only=True)
class FoundationArgs:
    """What the platform is made of."""

    settings: Settings
    images: Mapping[str, pulumi.Input[str]]
    """Platform image -> reference by digest."""
    node_host: str
    """Host part of a NodePort's URL."""
    root: Path
    """Of the repository."""


class Foundation(pulumi.ComponentResource):
    """The platform of one stack."""

    namespace: pulumi.Output[str]
    accounts: Mapping[str, pulumi.Output[str]]
    """Component -> name of its ServiceAccount."""
    key_secret: pulumi.Output[str]
    key_hashes_secret: pulumi.Output[str]
    training: Training | None
    """None unless the configuration asks for it."""
    prometheus_url: pulumi.Output[str]
    mlflow_url: pulumi.Output[str]
    database: pulumi.Output[str]
    push_url: pulumi.Output[str]
    """These four inside the cluster."""
    urls: Mapping[str, pulumi.Output[str]]
    """What people open: from outside where a Service can be reached from there, else inside the cluster."""

    def __init__(self, name: str, args: FoundationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:infra:Foundation", name, None, opts)
        walls = Namespace(
            "namespace",
            NamespaceArgs(
                namespace=args.settings.namespace,
                quota=quota(args.settings),
                network=_network(args.settings),
                shadow=args.settings.shadow.enabled,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        credentials = Credentials(
            "credentials",
            CredentialsArgs(namespace=walls.namespace),
            pulumi.ResourceOptions(parent=self),
        )
        tracking = self._tracking(args, walls, credentials)
        monitoring = self._monitoring(args, walls)
        self.namespace, self.accounts = walls.namespace, walls.accounts
        self.key_secret, self.key_hashes_secret = credentials.key, credentials.key_hashes
        self.prometheus_url, self.mlflow_url = monitoring.prometheus_url, tracking.url
        self.push_url = monitoring.push_url
        self.urls = {
            "mlflow": url(tracking.service, args.node_host),
            "prometheus": url(monitoring.prometheus_service, args.node_host),
            "alertmanager": url(monitoring.alertmanager_service, args.node_host),
        }
        self.training = self._training(args, credentials) if args.settings.training.enabled else None
        self.register_outputs({"namespace": self.namespace, "urls": self.urls})

    def _tracking(self, args: FoundationArgs, walls: Namespace, credentials: Credentials) -> Tracking:
        storage = args.settings.storage
        database = Postgres(
            "postgres",
            PostgresArgs(
                namespace=walls.namespace,
                image=args.images["postgres"],
                service_account=walls.accounts["postgres"],
                auth_secret=credentials.postgres,
                training_secret=credentials.training,
                storage=storage.postgres,
                storage_class=storage.storage_class,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.database = database.address
        return Tracking(
            "tracking",
            TrackingArgs(
                namespace=walls.namespace,
                namespace_name=args.settings.namespace,
                image=args.images["mlflow"],
                service_account=walls.accounts["mlflow"],
                database=database.address,
                database_secret=credentials.postgres,
                auth_secret=credentials.mlflow,
                storage=storage.mlflow,
                storage_class=storage.storage_class,
                exposure=Exposure(type=args.settings.exposed_as, node_port=args.settings.node_ports.mlflow),
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _training(self, args: FoundationArgs, credentials: Credentials) -> Training:
        return Training(
            "training",
            TrainingArgs(
                namespace=self.namespace,
                image=args.images[TRAINING_IMAGE],
                settings=args.settings.training,
                problem=problem_package(args.root),
                search_account=self.accounts["search"],
                retrain_account=self.accounts["retrain"],
                database=self.database,
                database_secret=credentials.training,
                mlflow_secret=credentials.mlflow,
                mlflow_url=self.mlflow_url,
                prometheus_url=self.prometheus_url,
                push_url=self.push_url,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _monitoring(self, args: FoundationArgs, walls: Namespace) -> Monitoring:
        settings, accounts = args.settings, walls.accounts
        return Monitoring(
            "monitoring",
            MonitoringArgs(
                namespace=walls.namespace,
                stack=settings.stack,
                namespace_name=settings.namespace,
                gpu_exporter=settings.gpu.exporter,
                image=args.images["prometheus"],
                state_metrics_image=args.images["kube-state-metrics"],
                accounts=Accounts(
                    prometheus=accounts["prometheus"],
                    alertmanager=accounts["alertmanager"],
                    node_exporter=accounts["node-exporter"],
                    state_metrics=accounts["kube-state-metrics"],
                    pushgateway=accounts["pushgateway"],
                ),
                storage=settings.storage.prometheus,
                storage_class=settings.storage.storage_class,
                prometheus_exposure=Exposure(type=settings.exposed_as, node_port=settings.node_ports.prometheus),
                alertmanager_exposure=Exposure(type=settings.exposed_as, node_port=settings.node_ports.alertmanager),
            ),
            pulumi.ResourceOptions(parent=self),
        )


def _network(settings: Settings) -> NetworkArgs:
    exporter = settings.gpu.exporter
    return NetworkArgs() if exporter is None else NetworkArgs(gpu_exporter=(exporter.namespace, exporter.pods))
