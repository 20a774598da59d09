"""The local single-node Kubernetes cluster: plain processes on this machine, their data below MLP_HOME/cluster.

`up`, `down`, `status` and `delete` act on the cluster of this MLP_HOME and on nothing else; they read no kubeconfig of
the user's. The bridge network does not enforce NetworkPolicy, and volume sizes are not enforced.
"""

from toolchain.cluster.layout import Layout
from toolchain.cluster.lifecycle import ComponentStatus, delete, down, layout, status, up
from toolchain.cluster.machine import running_home

__all__ = ["ComponentStatus", "Layout", "delete", "down", "layout", "running_home", "status", "up"]
