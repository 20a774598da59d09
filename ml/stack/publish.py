"""Projects a stack's releases into its MLflow: what a slot holds is registered, what is live is the champion."""

from collections.abc import Callable
from pathlib import Path

from ml.errors import ConfigError
from ml.release.store import verify
from ml.stack import commands
from ml.stack.cluster import Objects, node_port, secret
from ml.stack.slots import State

LOGIN_SECRET = "mlflow-auth"  # noqa: S105  (the name of the secret, not its value)
SERVICE = "mlflow"


def publish(root: Path, stack: str, state: State, found: Objects, progress: Callable[[str], None]) -> list[str]:
    """Publish every release that a slot holds; returns a line for each.

    The alias `champion` goes to the live one, which is published last. Publishing again changes nothing.

    Raises:
        GateError: If a release does not verify.
        ConfigError: If nobody can tell where MLflow answers.
    """
    from ml.tracking import publish as publish_release  # noqa: PLC0415  (loads mlflow: seconds)

    ids = {held.release: slot == state.live for slot, held in state.slots.items()}
    releases = [(verify(root, release), live) for release, live in sorted(ids.items(), key=lambda item: item[1])]
    login = secret(found, LOGIN_SECRET)
    uri = tracking_uri(root, stack, found)
    lines = []
    for release, live in releases:
        progress(f"publish {release.id} to {uri}")
        result = publish_release(
            release,
            tracking_uri=uri,
            username=login["username"],
            password=login["password"],
            alias="champion" if live else None,
        )
        lines.append(f"{release.id}: version {result.version}, run {result.run_id}{', champion' if live else ''}")
    return lines


def tracking_uri(root: Path, stack: str, found: Objects) -> str:
    """Where this machine reaches the stack's MLflow: the stack's output, or else the NodePort on this machine."""
    urls = commands.outputs(root, stack).get("urls")
    output = urls.get(SERVICE) if isinstance(urls, dict) else None
    if isinstance(output, str) and output.startswith(("http://", "https://")):
        return output
    port = node_port(found, SERVICE)
    if port is None:
        message = f"stack {stack!r}: neither the output urls.{SERVICE} nor a NodePort says where MLflow answers"
        raise ConfigError("ML-TRACK-020", message, f"pulumi up --stack {stack}")
    return f"http://127.0.0.1:{port}"
