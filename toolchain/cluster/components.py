"""The table of components, in an order in which each comes after what it needs."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from toolchain.cluster import control_plane, node
from toolchain.cluster.component import Component
from toolchain.cluster.layout import Layout

GRACE_S: Final = 15.0
HOST_PROGRAMS: Final = ("containerd", "dockerd", "docker-registry", "ctr")
BUILT_PROGRAMS: Final = ("kubernetes", "coredns", "metrics-server")

_BUILDERS: Final[Mapping[str, Callable[[Layout, Mapping[str, Path]], Component]]] = {
    "containerd": node.containerd,
    "registry": node.registry,
    "etcd": control_plane.etcd,
    "apiserver": control_plane.apiserver,
    "controller-manager": control_plane.controller_manager,
    "scheduler": control_plane.scheduler,
    "kubelet": node.kubelet,
    "proxy": node.proxy,
    "coredns": node.coredns,
    "metrics-server": node.metrics_server,
    "volumes": node.volumes,
    "dockerd": node.dockerd,
}
ORDER: Final = tuple(_BUILDERS)


def table(layout: Layout, binaries: Mapping[str, Path]) -> dict[str, Component]:
    """Every component by its name, in the order of `ORDER`."""
    return {name: build(layout, binaries) for name, build in _BUILDERS.items()}


def wanted_ports(components: Iterable[Component]) -> list[tuple[str, str, int]]:
    """`(component, address, port)` for the check that nobody else holds one."""
    return [(component.name, address, port) for component in components for address, port in component.ports]
