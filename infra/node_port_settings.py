"""The configuration object `nodePorts`: fixed ports of the Services that people and clients open. Pure."""

from dataclasses import dataclass

from infra.config_reader import Reader


@dataclass(frozen=True, kw_only=True)
class NodePortSettings:
    """Fixed node ports; None lets Kubernetes choose. Used with serviceType NodePort only."""

    live: int | None = None
    preview: int | None = None
    mlflow: int | None = None
    prometheus: int | None = None
    alertmanager: int | None = None


def read(reader: Reader) -> NodePortSettings:
    """The settings of the object; its problems land in the reader's list."""
    names = ("live", "preview", "mlflow", "prometheus", "alertmanager")
    ports = {name: reader.optional_integer(name, low=30000, high=32767) for name in names}
    for index, name in enumerate(names):
        if ports[name] is not None and ports[name] in [ports[earlier] for earlier in names[:index]]:
            reader.problem(name, ports[name], "a port that no other Service has", "PORT")
    reader.finish()
    return NodePortSettings(**ports)
