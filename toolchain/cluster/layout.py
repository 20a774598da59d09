"""Names, addresses and paths of the local cluster; pure, every other module reads them from here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ml.errors import SurroundingsError

NODE: Final = "ml-pipeline"
BRIDGE: Final = "mlp0"
NODE_IP: Final = "10.244.0.1"
POD_CIDR: Final = "10.244.0.0/24"
SERVICE_CIDR: Final = "10.96.0.0/16"
SERVICE_IP: Final = "10.96.0.1"
DOMAIN: Final = "cluster.local"
REGISTRY: Final = "127.0.0.1:5000"
PAUSE_IMAGE: Final = "localhost/ml-pipeline/pause:1"
STORAGE_CLASS: Final = "local"
PROVISIONER: Final = "ml-pipeline/volumes"
MARKER: Final = ".ml-pipeline-cluster"

# sun_path in unix(7) holds 108 bytes, the last one a NUL.
MAX_SOCKET_BYTES: Final = 107


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Every path of one cluster, below `root`."""

    root: Path

    @property
    def marker(self) -> Path:
        """Says that `root` was made by this program; `delete` refuses without it."""
        return self.root / MARKER

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.root / "pki"

    @property
    def conf(self) -> Path:
        """Rendered configuration, rewritten by every `up`."""
        return self.root / "conf"

    @property
    def cni(self) -> Path:
        """The directory containerd reads its network from."""
        return self.conf / "cni"

    @property
    def logs(self) -> Path:
        """One log a component."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Process records and readiness marks."""
        return self.root / "run"

    @property
    def volumes(self) -> Path:
        """One directory a PersistentVolume."""
        return self.root / "volumes"

    @property
    def kubelet(self) -> Path:
        """The kubelet's own state: pods' volumes, checkpoints, sockets."""
        return self.root / "kubelet"

    @property
    def containerd_socket(self) -> Path:
        """CRI and image API."""
        return self.root / "containerd.sock"

    @property
    def docker_socket(self) -> Path:
        """The Docker engine that builds images."""
        return self.root / "docker.sock"

    @property
    def admin_kubeconfig(self) -> Path:
        """The operator's credentials."""
        return self.root / "admin.kubeconfig"

    def kubeconfig(self, user: str) -> Path:
        """Credentials of one component."""
        return self.conf / f"{user}.kubeconfig"

    def certificate(self, name: str) -> Path:
        """Certificate of one identity."""
        return self.pki / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Private key of one identity."""
        return self.pki / f"{name}.key"

    def sockets(self) -> Iterator[Path]:
        """The sockets with the longest paths; those of dockerd and the kubelet are named by the programs themselves."""
        yield self.containerd_socket.with_name("containerd.sock.ttrpc")
        yield self.docker_socket
        yield self.kubelet / "device-plugins" / "kubelet.sock"
        yield self.kubelet / "pod-resources" / "3141592653"
        yield self.root / "dockerd" / "exec" / "libnetwork" / "0123456789ab.sock"

    def check_sockets(self) -> None:
        """Refuse a root below which a socket's path would not fit.

        Raises:
            SurroundingsError: the longest socket path has more bytes than the kernel takes.
        """
        longest = max(self.sockets(), key=lambda path: len(str(path).encode()))
        excess = len(str(longest).encode()) - MAX_SOCKET_BYTES
        if excess > 0:
            raise SurroundingsError(
                "ML-CLUSTER-006",
                f"socket path {str(longest)!r} is {excess} bytes over the kernel's limit of {MAX_SOCKET_BYTES}",
                fix="export MLP_HOME=<a shorter directory>, such as /var/lib/ml-pipeline",
            )
