"""Writes what is live into the stack's ledger, and shows releases and ledger in its MLflow."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from infra.names import LOGIN_SECRET
from ml.errors import ConfigError
from ml.release.ledger import Entry
from ml.release.store import verify
from ml.stack import commands, ledger
from ml.stack.cluster import node_port, secret
from ml.stack.objects import Objects
from ml.stack.slots import State

SERVICE = "mlflow"


def publish(root: Path, stack: str, state: State, found: Objects, progress: Callable[[str], None]) -> list[str]:
    """Write what is live into the ledger, then show every release that a slot holds in MLflow; returns lines to print.

    The ledger comes first: it is the truth, MLflow a projection of it and of the records. The alias `champion` goes to
    the release of the ledger's newest entry, which is published last. Publishing again changes nothing.

    Raises:
        GateError: If a release does not verify, or the ledger was changed.
        ConfigError: If nobody can tell where MLflow answers.
    """
    from ml.tracking import publish as publish_release  # noqa: PLC0415  (loads mlflow: seconds)

    newest = ledger.record(root, stack, found, now=datetime.now(tz=UTC), who=ledger.actor(root))
    lines = [] if newest is None else [f"ledger of {stack}: entry {newest.seq}, {newest.release}, hash {newest.hash}"]
    ids = {held.release: newest is not None and held.release == newest.release for held in state.slots.values()}
    releases = [(verify(root, release), live) for release, live in sorted(ids.items(), key=lambda item: item[1])]
    login = secret(found, LOGIN_SECRET)
    uri = tracking_uri(root, stack, found)
    for release, live in releases:
        progress(f"publish {release.id} to {uri}")
        result = publish_release(
            release,
            tracking_uri=uri,
            username=login["username"],
            password=login["password"],
            alias="champion" if live else None,
            tags=_tags(newest) if live and newest is not None else {},
        )
        lines.append(f"{release.id}: version {result.version}, run {result.run_id}{', champion' if live else ''}")
    return lines


def _tags(entry: Entry) -> dict[str, str]:
    """What the ledger says about the live version, where a person who looks at MLflow sees it."""
    tags = {"stack": entry.stack, "live_since": entry.time, "ledger_seq": str(entry.seq), "ledger_hash": entry.hash}
    return {**tags, "event": entry.event, "image": entry.image or ""}


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
