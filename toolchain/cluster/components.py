"""The table of components: how each is started, what it needs, where it listens and when it is ready; pure."""

import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolchain.cluster import probes
from toolchain.cluster.layout import NODE, NODE_IP, REGISTRY, SERVICE_CIDR, Layout

GRACE_S: Final = 15.0
LOOPBACK: Final = "127.0.0.1"
HOST_PROGRAMS: Final = ("containerd", "dockerd", "docker-registry", "ctr")
BUILT_PROGRAMS: Final = ("kubernetes", "coredns", "metrics-server")


@dataclass(frozen=True, kw_only=True)
class Component:
    """One process of the cluster."""

    name: str
    serves: str
    argv: tuple[str, ...]
    ports: tuple[tuple[str, int], ...] = ()
    after: tuple[str, ...] = ()
    probe: probes.Probe
    deadline_s: float = 60.0
    files: tuple[Path, ...] = ()
    left_behind: tuple[Path, ...] = ()
    """What a killed process leaves that would keep the next one from starting."""

    def fingerprint(self) -> str:
        """Changes when a running process would no longer be what `up` would start."""
        digest = hashlib.sha256("\0".join(self.argv).encode())
        program = Path(self.argv[0]).stat()
        digest.update(f"{program.st_size} {program.st_mtime_ns}".encode())
        for path in self.files:
            digest.update(path.read_bytes())
        return digest.hexdigest()


def table(layout: Layout, binaries: Mapping[str, Path]) -> dict[str, Component]:
    """Every component, in an order in which each comes after what it needs."""
    return {name: build(layout, binaries) for name, build in _BUILDERS.items()}


def wanted_ports(components: Iterable[Component]) -> list[tuple[str, str, int]]:
    """`(component, address, port)` for the check that nobody else holds one."""
    return [(component.name, address, port) for component in components for address, port in component.ports]


def _containerd(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    config = layout.conf / "containerd.toml"
    return Component(
        name="containerd",
        serves=f"containers and images, {layout.containerd_socket}",
        argv=(str(binaries["containerd"]), "--config", str(config), "--log-level", "warn"),
        probe=probes.unix_accepts(layout.containerd_socket),
        files=(config,),
    )


def _registry(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    config = layout.conf / "registry.yaml"
    return Component(
        name="registry",
        serves=f"images, http://{REGISTRY}",
        argv=(str(binaries["docker-registry"]), "serve", str(config)),
        ports=((LOOPBACK, 5000),),
        probe=probes.http_ok(5000, "/v2/"),
        files=(config,),
    )


def _etcd(layout: Layout, binaries: Mapping[str, Path]) -> Component:
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


def _apiserver(layout: Layout, binaries: Mapping[str, Path]) -> Component:
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
            f"--tls-cert-file={layout.certificate('apiserver')}",
            f"--tls-private-key-file={layout.key('apiserver')}",
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
            f"--kubelet-certificate-authority={authority}",
            f"--kubelet-client-certificate={layout.certificate('apiserver-kubelet')}",
            f"--kubelet-client-key={layout.key('apiserver-kubelet')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--enable-aggregator-routing",
            f"--proxy-client-cert-file={layout.certificate('front-proxy')}",
            f"--proxy-client-key-file={layout.key('front-proxy')}",
            f"--requestheader-client-ca-file={layout.certificate('front-proxy-ca')}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
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


def _controller_manager(layout: Layout, binaries: Mapping[str, Path]) -> Component:
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


def _scheduler(layout: Layout, binaries: Mapping[str, Path]) -> Component:
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


def _kubelet(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    config, kubeconfig = layout.conf / "kubelet.yaml", layout.kubeconfig("kubelet")
    return Component(
        name="kubelet",
        serves=f"pods of node {NODE}, https://{NODE_IP}:10250",
        argv=(
            str(binaries["kubernetes"]), "kubelet",
            f"--config={config}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={layout.kubelet}",
            f"--cert-dir={layout.kubelet / 'pki'}",
            f"--hostname-override={NODE}",
            f"--node-ip={NODE_IP}",
        ),
        ports=((NODE_IP, 10250), (LOOPBACK, 10248)),
        after=("apiserver", "containerd"),
        probe=probes.http_ok(10248, "/healthz"),
        files=(config, kubeconfig, layout.certificate("kubelet-server")),
    )  # fmt: skip


def _proxy(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    config, kubeconfig = layout.conf / "proxy.yaml", layout.kubeconfig("proxy")
    return Component(
        name="proxy",
        serves="Services; NodePorts on 127.0.0.1",
        argv=(str(binaries["kubernetes"]), "kube-proxy", f"--config={config}", f"--hostname-override={NODE}"),
        ports=((LOOPBACK, 10249), (LOOPBACK, 10256)),
        # It reads the node's address once, so the kubelet has to have registered the node.
        after=("kubelet",),
        probe=probes.http_ok(10256, "/livez"),
        files=(config, kubeconfig),
    )


def _coredns(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    config, kubeconfig = layout.conf / "Corefile", layout.kubeconfig("coredns")
    return Component(
        name="coredns",
        serves=f"names, {NODE_IP}:53",
        argv=(str(binaries["coredns"]), "-conf", str(config)),
        ports=((NODE_IP, 53), (LOOPBACK, 10254)),
        after=("apiserver",),
        probe=probes.http_ok(10254, "/ready"),
        files=(config, kubeconfig),
    )


def _metrics_server(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    kubeconfig, certificate = layout.kubeconfig("metrics-server"), layout.certificate("metrics-server-server")
    return Component(
        name="metrics-server",
        serves=f"CPU and memory of pods (HPA, kubectl top), https://{NODE_IP}:4443",
        argv=(
            str(binaries["metrics-server"]),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={NODE_IP}", "--secure-port=4443",
            f"--tls-cert-file={certificate}", f"--tls-private-key-file={layout.key('metrics-server-server')}",
            f"--kubelet-certificate-authority={layout.certificate('ca')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--metric-resolution=15s",
        ),
        ports=((NODE_IP, 4443),),
        after=("kubelet",),
        probe=probes.https_ok(layout, "admin", 4443, "/livez", NODE_IP),
        files=(kubeconfig, certificate),
    )  # fmt: skip


def _volumes(layout: Layout, _binaries: Mapping[str, Path]) -> Component:
    mark = layout.run / "volumes.ready"
    return Component(
        name="volumes",
        serves=f"PersistentVolumes below {layout.volumes}",
        argv=(sys.executable, "-m", "toolchain.cluster.volumes", "--root", str(layout.root)),
        after=("apiserver",),
        probe=probes.fresh(mark, max_age_s=30.0),
        files=(Path(__file__).with_name("volumes.py"), layout.certificate("volumes")),
    )


def _dockerd(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    data, pid_file = layout.root / "dockerd", layout.run / "dockerd.pid"
    return Component(
        name="dockerd",
        serves=f"image builds, unix://{layout.docker_socket}",
        argv=(
            str(binaries["dockerd"]),
            f"--containerd={layout.containerd_socket}",
            f"--data-root={data / 'data'}",
            f"--exec-root={data / 'exec'}",
            f"--pidfile={pid_file}",
            f"--host=unix://{layout.docker_socket}",
            "--config-file=" + str(layout.conf / "docker.json"),
            "--bridge=none",
            "--iptables=false",
            "--log-level=warn",
        ),
        after=("containerd",),
        probe=probes.unix_http_ok(layout.docker_socket, "/_ping"),
        files=(layout.conf / "docker.json",),
        left_behind=(pid_file,),
    )  # fmt: skip


_BUILDERS: Final[Mapping[str, Callable[[Layout, Mapping[str, Path]], Component]]] = {
    "containerd": _containerd,
    "registry": _registry,
    "etcd": _etcd,
    "apiserver": _apiserver,
    "controller-manager": _controller_manager,
    "scheduler": _scheduler,
    "kubelet": _kubelet,
    "proxy": _proxy,
    "coredns": _coredns,
    "metrics-server": _metrics_server,
    "volumes": _volumes,
    "dockerd": _dockerd,
}
ORDER: Final = tuple(_BUILDERS)
