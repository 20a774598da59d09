"""Which cluster this project may touch, and a client for it.

The answer never depends on a person's `KUBECONFIG` or current context: it is the file named by `MLP_KUBECONFIG`, or
else the local cluster's own. Imports no pulumi, so `mlp` uses it as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ml.errors import ConfigError, SurroundingsError
from ml.stack.library import kubernetes
from toolchain.environment import local_kubeconfig

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that somebody named."""

    kubeconfig: Path
    context: str
    """Always a name: the configured one, or the file's own."""
    node_host: str
    """Host part of a NodePort's URL: the local cluster's answer on 127.0.0.1, elsewhere the person knows a node."""


def named(environ: Mapping[str, str], context: str = "") -> Cluster:
    """The cluster that the surroundings name.

    Args:
        environ: Reads `MLP_KUBECONFIG` and `MLP_CONTEXT`; without the former the local cluster is meant.
        context: The stack's `kubeContext`, which wins over `MLP_CONTEXT`; empty for "not set".

    Raises:
        SurroundingsError: The kubeconfig does not exist or cannot be read.
        ConfigError: The context is not in it.
    """
    own = environ.get("MLP_KUBECONFIG", "")
    path = Path(own).expanduser() if own else local_kubeconfig()
    contexts, current = _contexts(path, named_by_user=bool(own))
    wanted = context or environ.get("MLP_CONTEXT", "") or current
    if wanted not in contexts:
        raise ConfigError(
            "ML-CONF-003",
            f"context {wanted!r} is not in {path}; it has {', '.join(sorted(contexts)) or 'none'}",
            "pulumi config set kubeContext NAME, or export MLP_CONTEXT=NAME",
        )
    return Cluster(kubeconfig=path, context=wanted, node_host="NODE" if own else "127.0.0.1")


def _contexts(path: Path, *, named_by_user: bool) -> tuple[set[str], str]:
    fix = "export MLP_KUBECONFIG=FILE with a kubeconfig that works" if named_by_user else "mlp cluster up"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        names = {entry["name"] for entry in content["contexts"]}
    except OSError as error:
        raise SurroundingsError("ML-CONF-002", f"kubeconfig {path}: {error.strerror}", fix) from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise SurroundingsError("ML-CONF-002", f"kubeconfig {path}: not a kubeconfig", fix) from error
    return names, str(content.get("current-context") or "")


def api_client(cluster: Cluster) -> "ApiClient":
    """A client for exactly this cluster. Imports the library late: it is slow to load and most commands need none."""
    library: Any = kubernetes()
    client: ApiClient = library.config.new_client_from_config(
        config_file=str(cluster.kubeconfig), context=cluster.context
    )
    return client
