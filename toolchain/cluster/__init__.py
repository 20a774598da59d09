"""The local single-node Kubernetes cluster: plain processes on this machine, their data below MLP_HOME/cluster.

`up`, `down`, `status` and `delete` act on the cluster of this MLP_HOME and on nothing else; they read no kubeconfig of
the user's. The bridge network does not enforce NetworkPolicy, and volume sizes are not enforced.
"""

from toolchain.cluster.components import ORDER
from toolchain.cluster.layout import REGISTRY, Layout
from toolchain.cluster.lifecycle import ComponentStatus, delete, down, layout, status, up
from toolchain.cluster.machine import running_home
from toolchain.cluster.starting import log_path

__all__ = [
    "ORDER",
    "REGISTRY",
    "ComponentStatus",
    "Layout",
    "delete",
    "down",
    "layout",
    "log_path",
    "running_home",
    "status",
    "up",
]
