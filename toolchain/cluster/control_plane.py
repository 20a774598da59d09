"""How the control plane's processes are started: etcd, API server, controllers, scheduler; pure."""

from collections.abc import Mapping
from pathlib import Path

from toolchain.cluster import probes
from toolchain.cluster.component import LOOPBACK, Component
from toolchain.cluster.layout import NODE, NODE_IP, SERVICE_CIDR, Layout


def etcd(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    """The API's data; loopback only, both directions with certificates."""
    certificate, key, authority = layout.certificate("etcd"), layout.key("etcd"), layout.certificate("etcd-ca")
    return Component(
        name="etcd",
        serves="the API's data, https://127.0.0.1:2379",
        argv=(
            str(binaries["kubernetes"]), "etcd",
            f"--name={NODE}",
            f"--data-dir={layout.root / 'etcd'}",
            "--listen-client-urls=https://127.0.0.1:2379",
            "--advertise-client-urls=https://127.0.0.1:2379",
            "--listen-peer-urls=https://127.0.0.1:2380",
            "--initial-advertise-peer-urls=https://127.0.0.1:2380",
            f"--initial-cluster={NODE}=https://127.0.0.1:2380",
            "--listen-metrics-urls=http://127.0.0.1:2381",
            "--client-cert-auth", f"--trusted-ca-file={authority}", f"--cert-file={certificate}", f"--key-file={key}",
            "--peer-client-cert-auth", f"--peer-trusted-ca-file={authority}",
            f"--peer-cert-file={certificate}", f"--peer-key-file={key}",
            "--log-level=warn",
        ),
        ports=((LOOPBACK, 2379), (LOOPBACK, 2380), (LOOPBACK, 2381)),
        probe=probes.http_ok(2381, "/readyz"),
        files=(certificate, authority),
    )  # fmt: skip


def apiserver(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    """The API, on the bridge address."""
    authority = layout.certificate("ca")
    return Component(
        name="apiserver",
        serves=f"the Kubernetes API, https://{NODE_IP}:6443",
        argv=(
            str(binaries["kubernetes"]), "kube-apiserver",
            "--etcd-servers=https://127.0.0.1:2379",
            f"--etcd-cafile={layout.certificate('etcd-ca')}",
            f"--etcd-certfile={layout.certificate('etcd-client')}",
            f"--etcd-keyfile={layout.key('etcd-client')}",
            # The bridge's address: pods and this machine reach it, outside interfaces do not (network.py).
            f"--bind-address={NODE_IP}", f"--advertise-address={NODE_IP}", "--secure-port=6443",
            f"--tls-cert-file={layout.certificate('apiserver')}", f"--tls-private-key-file={layout.key('apiserver')}",
            "--tls-min-version=VersionTLS12",
            f"--client-ca-file={authority}",
            "--anonymous-auth=false",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--admission-control-config-file={layout.conf / 'admission.yaml'}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            f"--service-account-key-file={layout.pki / 'service-accounts.pub'}",
            f"--service-account-signing-key-file={layout.key('service-accounts')}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            *_kubelet_access(layout),
            *_aggregation(layout),
            "--profiling=false",
        ),
        ports=((NODE_IP, 6443),),
        after=("etcd",),
        probe=probes.https_ok(layout, "admin", 6443, "/readyz", NODE_IP),
        deadline_s=120.0,
        files=(
            layout.conf / "admission.yaml", authority, layout.certificate("apiserver"),
            layout.certificate("etcd-client"), layout.certificate("front-proxy"),
            layout.certificate("front-proxy-ca"), layout.certificate("apiserver-kubelet"),
        ),
    )  # fmt: skip


def _kubelet_access(layout: Layout) -> tuple[str, ...]:
    """How `kubectl exec` and `logs` get from the API server to the kubelet."""
    return (
        f"--kubelet-certificate-authority={layout.certificate('ca')}",
        f"--kubelet-client-certificate={layout.certificate('apiserver-kubelet')}",
        f"--kubelet-client-key={layout.key('apiserver-kubelet')}",
        "--kubelet-preferred-address-types=InternalIP",
    )


def _aggregation(layout: Layout) -> tuple[str, ...]:
    """The front proxy: the metrics API is reached at its endpoint, with an identity only the aggregator has."""
    return (
        "--enable-aggregator-routing",
        f"--proxy-client-cert-file={layout.certificate('front-proxy')}",
        f"--proxy-client-key-file={layout.key('front-proxy')}",
        f"--requestheader-client-ca-file={layout.certificate('front-proxy-ca')}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    )


def controller_manager(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    """Controllers, each with its own service account."""
    kubeconfig, certificate = layout.kubeconfig("controller-manager"), layout.certificate("controller-manager-server")
    return Component(
        name="controller-manager",
        serves="controllers, https://127.0.0.1:10257",
        argv=(
            str(binaries["kubernetes"]), "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}",
            f"--service-account-private-key-file={layout.key('service-accounts')}",
            f"--root-ca-file={layout.certificate('ca')}",
            "--use-service-account-credentials",
            "--bind-address=127.0.0.1",
            f"--tls-cert-file={certificate}", f"--tls-private-key-file={layout.key('controller-manager-server')}",
            "--leader-elect=false",
            "--profiling=false",
            # Tainting a node that was only stopped would evict its pods at every `up`.
            "--node-monitor-grace-period=120s",
        ),
        ports=((LOOPBACK, 10257),),
        after=("apiserver",),
        probe=probes.https_ok(layout, "admin", 10257, "/healthz"),
        files=(kubeconfig, certificate),
    )  # fmt: skip


def scheduler(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    """Placement of pods."""
    kubeconfig, certificate = layout.kubeconfig("scheduler"), layout.certificate("scheduler-server")
    return Component(
        name="scheduler",
        serves="placement of pods, https://127.0.0.1:10259",
        argv=(
            str(binaries["kubernetes"]), "kube-scheduler",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--tls-cert-file={certificate}", f"--tls-private-key-file={layout.key('scheduler-server')}",
            "--leader-elect=false",
            "--profiling=false",
        ),
        ports=((LOOPBACK, 10259),),
        after=("apiserver",),
        probe=probes.https_ok(layout, "admin", 10259, "/healthz"),
        files=(kubeconfig, certificate),
    )  # fmt: skip
