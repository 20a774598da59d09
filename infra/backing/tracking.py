"""MLflow: the tracking server and model registry, on Postgres, with proxied artifacts on a volume.

Hardened as listed in `_ENVIRONMENT` and `_ARGUMENTS`, each with what it prevents. One replica: schema migrations run at
its start, and the artifact volume is mounted by one node.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgs, Service

from infra.backing.pods import (
    Resources,
    claim_volume,
    container,
    exec_probe,
    http_probe,
    mount,
    pod_spec,
    scratch,
    secret_volume,
)
from infra.backing.workloads import Exposure, Identity, claim, deployment, scrape_service, service
from infra.names import PASSWORD_FIELD

PORT: Final = 5000
METRICS_PORT: Final = 9101
METRICS_SERVICE: Final = "mlflow-metrics"
"""Apart from the Service people use, so that no node port shows metrics to the outside."""
USERNAME_KEY: Final = "username"
PASSWORD_KEY: Final = PASSWORD_FIELD
FLASK_KEY: Final = "flask-secret-key"

_ENVIRONMENT: Final[Mapping[str, str]] = {
    # A registered version may only point at artifacts this server holds; it would accept any S3 address otherwise.
    "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": "^mlflow-artifacts:/",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # A route without an authorization decision is refused. It is the default; said, so that nothing turns it off.
    "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
    # The job runner executes stored scorers; this server only tracks.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_SERVER_X_FRAME_OPTIONS": "DENY",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

# No --gunicorn-opts and no --waitress-opts: the host and origin checks work under uvicorn only.
_ARGUMENTS: Final[Sequence[str]] = (
    "--app-name=basic-auth",
    "--host=0.0.0.0",
    f"--port={PORT}",
    # Each worker holds 280 MiB; one carries a team, and a second would need a shared rate of login attempts.
    "--workers=1",
    "--serve-artifacts",
    "--artifacts-destination=/var/lib/mlflow/artifacts",
)


@dataclass(frozen=True, kw_only=True)
class TrackingArgs:
    """One tracking server."""

    namespace: pulumi.Input[str]
    namespace_name: str
    """The namespace as plain text, for the list of host names that the server answers to."""
    image: pulumi.Input[str]
    """`images/mlflow`, by digest."""
    service_account: pulumi.Input[str]
    database: pulumi.Input[str]
    """`host:port` of Postgres with the databases `mlflow` and `mlflow_auth` and the role `mlflow`."""
    database_secret: pulumi.Input[str]
    """Secret with the key `password` of that role."""
    auth_secret: pulumi.Input[str]
    """Secret with the keys `username`, `password` and `flask-secret-key`."""
    storage: str = "10Gi"
    storage_class: str = ""
    exposure: Exposure = field(default_factory=Exposure)
    public_hosts: tuple[str, ...] = ()
    """Host headers people use from outside, with port, such as `mlflow.example.com`."""
    resources: Resources = field(
        default_factory=lambda: Resources(
            cpu_request="100m", memory_request="512Mi", cpu_limit="2", memory_limit="1Gi", ephemeral_limit="1Gi"
        ),
    )


class Tracking(pulumi.ComponentResource):
    """Deployment, Service and artifact volume of the tracking server."""

    url: pulumi.Output[str]
    """Address inside the cluster, known once the server is ready."""
    service: Service
    """What people and `mlp release publish` call."""

    def __init__(self, name: str, args: TrackingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:backing:Tracking", name, None, opts)
        of = Identity(name="mlflow", component="tracking", namespace=args.namespace, parent=self)
        artifacts = claim(of, args.storage, args.storage_class)
        self.service = service(of, PORT, exposure=args.exposure)
        scrape_service(of, METRICS_PORT, name=METRICS_SERVICE)
        pod = pod_spec(
            service_account=args.service_account,
            containers=[_container(args)],
            volumes=[
                claim_volume("artifacts", artifacts.metadata.name),
                secret_volume("mlflow-secret", args.auth_secret),
                secret_volume("postgres-secret", args.database_secret),
                scratch("run", "32Mi", in_memory=True),
                scratch("tmp", "512Mi"),
            ],
        )
        server = deployment(of, pod)
        self.url = pulumi.Output.format("http://{0}.{1}.svc:{2}", server.metadata.name, args.namespace, PORT)
        self.register_outputs({"url": self.url})


def allowed_hosts(args: TrackingArgs) -> list[str]:
    """Every Host header the server answers to; the list replaces MLflow's default, which trusts all private addresses.

    A client sends `host:port` for every port but 80 and 443.
    """
    inside = (
        "mlflow",
        f"mlflow.{args.namespace_name}",
        f"mlflow.{args.namespace_name}.svc",
        f"mlflow.{args.namespace_name}.svc.cluster.local",
    )
    node_port = args.exposure.node_port
    local = [f"{host}:{node_port}" for host in ("127.0.0.1", "localhost") if node_port is not None]
    # What `kubectl port-forward` makes of the Service.
    forwarded = [f"{host}:{PORT}" for host in ("127.0.0.1", "localhost")]
    return [*(f"{host}:{PORT}" for host in inside), *forwarded, *local, *args.public_hosts]


def _container(args: TrackingArgs) -> ContainerArgs:
    hosts = allowed_hosts(args)
    browsers = [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
    return container(
        "mlflow",
        image=args.image,
        resources=args.resources,
        args=_ARGUMENTS,
        env={
            **_ENVIRONMENT,
            "DATABASE_ADDRESS": args.database,
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(hosts),
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(browsers),
        },
        ports={"main": PORT, "metrics": METRICS_PORT},
        mounts=[
            mount("artifacts", "/var/lib/mlflow", read_only=False),
            mount("mlflow-secret", "/run/secrets/mlflow"),
            mount("postgres-secret", "/run/secrets/postgres"),
            mount("run", "/run/mlflow", read_only=False),
            mount("tmp", "/tmp", read_only=False),  # noqa: S108  (a volume of its own in the container)
        ],
        # The first start makes two schemas before it listens.
        startup=http_probe("/health", PORT, period_s=3, failures=80),
        # /health needs no database, so it does not decide on traffic; a database that is away is no reason to restart.
        readiness=exec_probe(["python3", "/opt/mlflow/ready.py"], period_s=15, timeout_s=8),
        liveness=http_probe("/health", PORT, period_s=20, timeout_s=10, failures=4),
    )
