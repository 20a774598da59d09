"""The components' configuration files, rendered from the layout alone: pure, no file is read or written here."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from toolchain.cluster.layout import (
    BRIDGE,
    DOMAIN,
    NODE_IP,
    PAUSE_IMAGE,
    POD_CIDR,
    REGISTRY,
    Layout,
)

# Where Debian's containernetworking-plugins puts them.
CNI_PLUGINS: Final = Path("/usr/lib/cni")

# Namespaces choose "restricted" themselves; what has chosen nothing still gets no privileged pod.
POD_SECURITY_DEFAULTS: Final = {
    "enforce": "baseline",
    "enforce-version": "latest",
    "audit": "restricted",
    "audit-version": "latest",
    "warn": "restricted",
    "warn-version": "latest",
}


def render(layout: Layout, resolv_conf: Path) -> dict[Path, str]:
    """Every configuration file of the cluster by its path."""
    conf = layout.conf
    return {
        conf / "containerd.toml": containerd(layout),
        layout.cni / "10-ml-pipeline.conflist": cni(layout),
        conf / "admission.yaml": admission(),
        conf / "kubelet.yaml": kubelet(layout, resolv_conf),
        conf / "proxy.yaml": proxy(layout),
        conf / "registry.yaml": registry(layout),
        conf / "Corefile": corefile(layout),
        # dockerd would otherwise read the machine's own /etc/docker/daemon.json.
        conf / "docker.json": "{}\n",
    }


def kubeconfig(server: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    """A kubeconfig that needs no other file, so that it can be copied and handed to a provider."""

    def data(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    return _yaml(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "ml-pipeline", "cluster": {"server": server, "certificate-authority-data": data(authority)}}
            ],
            "users": [
                {
                    "name": "ml-pipeline",
                    "user": {"client-certificate-data": data(certificate), "client-key-data": data(key)},
                }
            ],
            "contexts": [{"name": "ml-pipeline", "context": {"cluster": "ml-pipeline", "user": "ml-pipeline"}}],
            "current-context": "ml-pipeline",
        }
    )


def containerd(layout: Layout) -> str:
    """TOML for containerd 1.6 (configuration version 2)."""
    root = layout.root
    return f"""\
version = 2
root = {_quoted(root / "containerd")}
state = {_quoted(root / "containerd-state")}
oom_score = 0
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]

[grpc]
  address = {_quoted(layout.containerd_socket)}

[plugins."io.containerd.grpc.v1.cri"]
  # Without CAP_SYS_RESOURCE runc cannot lower a score and dies before the container starts.
  restrict_oom_score_adj = true
  # Imported by `up`, never pulled: a sandbox starts although the registry is down or was emptied.
  sandbox_image = {_quoted(PAUSE_IMAGE)}
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {_quoted(CNI_PLUGINS)}
    conf_dir = {_quoted(layout.cni)}

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    discard_unpacked_layers = true

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false

  [plugins."io.containerd.grpc.v1.cri".registry.mirrors."{REGISTRY}"]
    endpoint = ["http://{REGISTRY}"]
"""


def cni(layout: Layout) -> str:
    """Bridge and addresses; masquerading is one rule of ours (network.py) instead of one chain a pod.

    The bridge plugin does not enforce NetworkPolicy.
    """
    ipam = {
        "type": "host-local",
        "dataDir": str(layout.root / "addresses"),
        "ranges": [[{"subnet": POD_CIDR, "gateway": NODE_IP}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": ipam,
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "ml-pipeline", "plugins": [bridge]}, indent=2) + "\n"


def admission() -> str:
    """Pod Security for namespaces without a label of their own."""
    return _yaml(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AdmissionConfiguration",
            "plugins": [
                {
                    "name": "PodSecurity",
                    "configuration": {
                        "apiVersion": "pod-security.admission.config.k8s.io/v1",
                        "kind": "PodSecurityConfiguration",
                        "defaults": POD_SECURITY_DEFAULTS,
                        "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": []},
                    },
                }
            ],
        }
    )


def kubelet(layout: Layout, resolv_conf: Path) -> str:
    """KubeletConfiguration: state below the root, no image ever collected, disk limits for small machines."""
    return _yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE_IP,
            "healthzBindAddress": "127.0.0.1",
            "tlsCertFile": str(layout.certificate("kubelet-server")),
            "tlsPrivateKeyFile": str(layout.key("kubelet-server")),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(layout.certificate("ca"))},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "clusterDNS": [NODE_IP],
            "clusterDomain": DOMAIN,
            "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
            "podLogsDir": str(layout.root / "pod-logs"),
            "resolvConf": str(resolv_conf),
            "failSwapOn": False,
            "maxPods": 110,
            "seccompDefault": True,
            "serializeImagePulls": False,
            "registryPullQPS": 0,
            "containerLogMaxSize": "10Mi",
            "containerLogMaxFiles": 3,
            # 100 switches collection off: there is no other registry to pull a deleted image from.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {"memory.available": "200Mi", "nodefs.available": "2%", "imagefs.available": "2%"},
        }
    )


def proxy(layout: Layout) -> str:
    """KubeProxyConfiguration: iptables mode, because only there NodePorts answer on 127.0.0.1."""
    return _yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(layout.kubeconfig("proxy"))},
            "mode": "iptables",
            "clusterCIDR": POD_CIDR,
            "nodePortAddresses": ["127.0.0.0/8"],
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            # Zero leaves the machine's own conntrack limits alone.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            # A switch of slots is seen by clients this much later.
            "iptables": {"minSyncPeriod": "200ms"},
        }
    )


def registry(layout: Layout) -> str:
    """The registry: loopback only, deletion allowed so that space can be won back."""
    return _yaml(
        {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(layout.root / "registry")},
                "delete": {"enabled": True},
            },
            "http": {"addr": REGISTRY},
        }
    )


def corefile(layout: Layout) -> str:
    """CoreDNS runs on the node; everything outside the cluster's domain goes to the machine's own resolver."""
    return f"""\
{DOMAIN}:53 in-addr.arpa:53 {{
    bind {NODE_IP}
    errors
    ready 127.0.0.1:10254
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {layout.kubeconfig("coredns")} ml-pipeline
        fallthrough in-addr.arpa
        pods insecure
        ttl 5
    }}
    forward . /etc/resolv.conf
    cache 5
}}
.:53 {{
    bind {NODE_IP}
    errors
    forward . /etc/resolv.conf
    cache 30
}}
"""


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)


def _quoted(value: object) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(str(value), ensure_ascii=False)
