"""How the node's processes are started: containers, images, pods, Services, names, metrics, volumes, builds; pure."""

import sys
from collections.abc import Mapping
from pathlib import Path

from toolchain.cluster import probes
from toolchain.cluster.component import LOOPBACK, Component
from toolchain.cluster.layout import NODE, NODE_IP, REGISTRY, Layout


def containerd(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    """Containers of pods and of builds."""
    config = layout.conf / "containerd.toml"
    return Component(
        name="containerd",
        serves=f"containers and images, {layout.containerd_socket}",
        argv=(str(binaries["containerd"]), "--config", str(config), "--log-level", "warn"),
        probe=probes.unix_accepts(layout.containerd_socket),
        files=(config,),
    )


def registry(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    """Where builds push and pods pull."""
    config = layout.conf / "registry.yaml"
    return Component(
        name="registry",
        serves=f"images, http://{REGISTRY}",
        argv=(str(binaries["docker-registry"]), "serve", str(config)),
        ports=((LOOPBACK, 5000),),
        probe=probes.http_ok(5000, "/v2/"),
        files=(config,),
    )


def kubelet(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    """Runs pods."""
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


def proxy(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    """Services and NodePorts."""
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


def coredns(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    """Names for pods."""
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


def metrics_server(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    """CPU and memory for HPA and `kubectl top`."""
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


def volumes(layout: Layout, _binaries: Mapping[str, Path]) -> Component:
    """Our own volumes process."""
    mark = layout.run / "volumes.ready"
    return Component(
        name="volumes",
        serves=f"PersistentVolumes below {layout.volumes}",
        argv=(sys.executable, "-m", "toolchain.cluster.volumes", "--root", str(layout.root)),
        after=("apiserver",),
        probe=probes.fresh(mark, max_age_s=30.0),
        files=(Path(__file__).with_name("volumes.py"), layout.certificate("volumes")),
    )


def dockerd(layout: Layout, binaries: Mapping[str, Path]) -> Component:
    """Builds images; no bridge and no rules of its own."""
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
