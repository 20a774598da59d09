import pulumi
import pytest

from infra.backing.monitoring import Accounts, Monitoring, MonitoringArgs
from infra.backing.namespace import Namespace, NamespaceArgs
from infra.backing.network import NetworkArgs
from infra.backing.postgres import Postgres, PostgresArgs
from infra.backing.tracking import Tracking, TrackingArgs
from infra.backing.workloads import Exposure
from infra.quota import quota
from infra.settings import Settings

DIGEST = "@sha256:" + "0" * 64


def image(name: str) -> str:
    return f"127.0.0.1:5000/ml-pipeline/{name}{DIGEST}"


def build_platform(
    *, network: NetworkArgs | None = None, shadow: bool = False, webhook_url: str = "", runbook_base: str = ""
) -> None:
    """Everything of the platform, as the program puts it together."""
    bounds = quota(Settings(stack="staging"))
    walls = Namespace(
        "namespace",
        NamespaceArgs(namespace="ml-staging", quota=bounds, network=network or NetworkArgs(), shadow=shadow),
    )
    build_tracking(walls)
    build_monitoring(walls, webhook_url, runbook_base)


def build_tracking(walls: Namespace) -> None:
    """MLflow on its database."""
    accounts = walls.accounts
    database = Postgres(
        "postgres",
        PostgresArgs(
            namespace=walls.namespace,
            image=image("postgres"),
            service_account=accounts["postgres"],
            auth_secret="postgres-auth",
            training_secret="training-auth",
        ),
    )
    Tracking(
        "tracking",
        TrackingArgs(
            namespace=walls.namespace,
            namespace_name="ml-staging",
            image=image("mlflow"),
            service_account=accounts["mlflow"],
            database=database.address,
            database_secret="postgres-auth",
            auth_secret="mlflow-auth",
            exposure=Exposure(type="NodePort", node_port=30500),
            public_hosts=("mlflow.example.com",),
        ),
    )


def build_monitoring(walls: Namespace, webhook_url: str, runbook_base: str) -> None:
    """Prometheus, Alertmanager and the exporters."""
    accounts = walls.accounts
    Monitoring(
        "monitoring",
        MonitoringArgs(
            namespace=walls.namespace,
            stack="staging",
            namespace_name="ml-staging",
            image=image("prometheus"),
            state_metrics_image=image("kube-state-metrics"),
            accounts=Accounts(
                prometheus=accounts["prometheus"],
                alertmanager=accounts["alertmanager"],
                node_exporter=accounts["node-exporter"],
                state_metrics=accounts["kube-state-metrics"],
                pushgateway=accounts["pushgateway"],
            ),
            storage="10Gi",
            prometheus_exposure=Exposure(type="NodePort", node_port=30900),
            webhook_url=pulumi.Output.secret(webhook_url),
            runbook_base=runbook_base,
        ),
    )


@pytest.fixture(scope="session")
def registered_platform():
    """Filled by the first test that asks; sixty engine runs of the same program would say nothing more."""
    return []


@pytest.fixture
def platform(deploy, registered_platform):
    """What one stack's platform registers; only read it."""
    if not registered_platform:
        registered_platform.append(deploy(build_platform))
    return registered_platform[0]
