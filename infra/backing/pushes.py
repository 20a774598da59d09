"""The Pushgateway: where jobs that end leave their figures for Prometheus.

Prometheus itself takes none: who reaches its pages must not be able to write the counters by which a release is judged.
What is pushed is taken over by name only (`ml_batch_*`, `ml_data_*`; see `prometheus.yml`).
"""

from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import PodSpecArgs

from infra.backing.pods import Resources, container, http_probe, mount, pod_spec, scratch
from infra.backing.workloads import Identity, deployment, service

PORT: Final = 9091
NAME: Final = "pushgateway"
_DATA: Final = "/var/lib/pushgateway"


@dataclass(frozen=True, kw_only=True)
class PushgatewayArgs:
    """One instance."""

    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    """`images/prometheus`, by digest."""
    service_account: pulumi.Input[str]
    resources: Resources = field(
        default_factory=lambda: Resources(
            cpu_request="10m", memory_request="24Mi", cpu_limit="200m", memory_limit="96Mi"
        ),
    )


class Pushgateway(pulumi.ComponentResource):
    """Deployment and Service, reached by the jobs that push and by Prometheus alone."""

    url: pulumi.Output[str]
    """Address inside the cluster, known once it is ready."""

    def __init__(self, name: str, args: PushgatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:backing:Pushgateway", name, None, opts)
        of = Identity(name=NAME, component="monitoring", namespace=args.namespace, parent=self)
        server = deployment(of, _pod(args))
        service(of, PORT)
        self.url = pulumi.Output.format("http://{0}.{1}.svc:{2}", server.metadata.name, args.namespace, PORT)
        self.register_outputs({"url": self.url})


def _pod(args: PushgatewayArgs) -> PodSpecArgs:
    server = container(
        NAME,
        image=args.image,
        resources=args.resources,
        command=["prometheus-pushgateway"],
        args=[
            f"--web.listen-address=:{PORT}",
            # A container that starts again knows what it knew; with the pod it goes, until the next job ends.
            f"--persistence.file={_DATA}/pushed",
            "--persistence.interval=1m",
        ],
        ports={"main": PORT},
        mounts=[mount("data", _DATA, read_only=False)],
        readiness=http_probe("/-/ready", PORT),
        liveness=http_probe("/-/healthy", PORT, period_s=30, failures=5),
    )
    return pod_spec(service_account=args.service_account, containers=[server], volumes=[scratch("data")])
