"""Show a release in MLflow: one run with its facts and files, one registered version, one alias.

The committed record stays the truth; MLflow is a projection of it. Every step first looks what is there, so the
same call does nothing the second time and finishes what a killed one began.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from ml.errors import GateError
from ml.tracking.session import session

RELEASE_TAG, DIGEST_TAG = "release", "record_digest"
ARTIFACTS = ("record.json", "model.onnx", "serving.json")
VIEWS = ("record.dsse.json", "report.html")
_PARAM_LIMIT = 6000  # characters of a value that MLflow stores


class Publishable(Protocol):
    """What is needed of a release (`ml.release.store.Release` is one)."""

    @property
    def id(self) -> str:
        """Such as flights-0001."""

    @property
    def directory(self) -> Path:
        """Holds the files named in `ARTIFACTS`."""

    @property
    def record(self) -> Mapping[str, Any]:
        """The release record."""


@dataclass(frozen=True, kw_only=True)
class PublishResult:
    """Where the release is in MLflow."""

    run_id: str
    version: str


def publish(  # noqa: PLR0913  (keyword-only)
    release: Publishable,
    *,
    tracking_uri: str,
    username: str | None,
    password: str | None,
    alias: str | None,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> PublishResult:
    """Make MLflow show this release.

    Args:
        release: A verified release.
        tracking_uri: Of the server.
        username: For basic auth; None for a server without it.
        password: For basic auth.
        alias: To point at this version, such as `champion`; None leaves all aliases as they are.
        tags: Of the version, besides those that it is made with; may change from call to call.

    Raises:
        GateError: If the server has another record under this release's id.
        ConfigError: If the server refuses the credentials.
        TransientError: If it does not answer.
    """
    with session(tracking_uri, username, password) as client:
        run = _run(client, release)
        if run.info.status != "FINISHED":
            _facts(client, run.info.run_id, release.record)
        _artifacts(client, run.info.run_id, release)
        if run.info.status != "FINISHED":
            client.set_terminated(run.info.run_id, "FINISHED", end_time=_created_ms(release.record))
        version = _version(client, run, release)
        if tags or alias is not None:
            _show(client, release.record["problem"], version, alias, tags)
    return PublishResult(run_id=run.info.run_id, version=version)


def _run(client: Any, release: Publishable) -> Any:
    """The release's run. Its tags are part of its creation: a kill leaves either no run or one that is found again."""
    experiment = _experiment(client, release.record["problem"])
    runs = client.search_runs([experiment], f"tags.{RELEASE_TAG} = '{release.id}'", order_by=["start_time ASC"])
    if not runs:
        created = _created_ms(release.record)
        return client.create_run(experiment, start_time=created, tags=_tags(release), run_name=release.id)
    run = min(runs, key=lambda found: found.info.run_id)  # two publishers at once: both go on with the same one
    _refuse_other(release, run.data.tags)
    return run


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _tags(release: Publishable) -> dict[str, str]:
    record = release.record
    return {
        RELEASE_TAG: release.id,
        DIGEST_TAG: record["digest"],
        "model_sha256": record["files"]["model.onnx"],
        "snapshot_sha256": record["data"]["snapshot_sha256"],
        "tree_sha256": record["code"]["tree_sha256"],
        "lock_sha256": record["lock_sha256"],
        "verdict": record["gate"]["verdict"],
    }


def _refuse_other(release: Publishable, tags: Mapping[str, str]) -> None:
    seen, ours = tags.get(DIGEST_TAG), release.record["digest"]
    if seen != ours:
        raise GateError(
            "ML-TRACK-004",
            f"the tracking server has release {release.id} with digest {seen!r}; this one has {ours!r}",
            "a published release never changes: give the new one the next id (mlp release create)",
        )


def _facts(client: Any, run_id: str, record: Mapping[str, Any]) -> None:
    """Parameters and metrics. Fixed time and step, so repeating them adds nothing."""
    entities = _entities()
    facts = {**record["parameters"], "train_rows": record["data"]["train"]["rows"]}
    facts["test_rows"] = record["data"]["test"]["rows"]
    params = [entities.Param(name, str(value)[:_PARAM_LIMIT]) for name, value in sorted(facts.items())]
    created = _created_ms(record)
    metrics = [entities.Metric(name, value, created, 0) for name, value in sorted(record["metrics"].items())]
    client.log_batch(run_id, metrics=metrics, params=params)


def _artifacts(client: Any, run_id: str, release: Publishable) -> None:
    """Upload what is absent, or was cut short because somebody was killed."""
    directory = release.directory
    names = [*ARTIFACTS, *(name for name in (*release.record["files"], *VIEWS) if name not in ARTIFACTS)]
    present = {entry.path: entry.file_size for entry in client.list_artifacts(run_id)}
    for name in (name for name in names if (directory / name).is_file()):
        if present.get(name) != (directory / name).stat().st_size:
            client.log_artifact(run_id, str(directory / name))


def _version(client: Any, run: Any, release: Publishable) -> str:
    """The registered version of this release; again, its tags are part of its creation."""
    name = release.record["problem"]
    found = client.search_model_versions(f"name = '{name}' and tags.{RELEASE_TAG} = '{release.id}'")
    if found:
        oldest = min(found, key=lambda version: int(version.version))
        _refuse_other(release, oldest.tags)
        return str(oldest.version)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    created = client.create_model_version(
        name,
        run.info.artifact_uri,
        run.info.run_id,
        tags=_tags(release),
        description=f"release {release.id}",
        await_creation_for=0,  # the files are there already
    )
    return str(created.version)


def _show(client: Any, name: str, version: str, alias: str | None, tags: Mapping[str, str]) -> None:
    """Tags and alias as they are to be; only what differs is written."""
    present = client.get_model_version(name, version)
    for key, value in tags.items():
        if present.tags.get(key) != value:
            client.set_model_version_tag(name, version, key, value)
    if alias is not None and alias not in present.aliases:
        client.set_registered_model_alias(name, alias, version)


def _created_ms(record: Mapping[str, Any]) -> int:
    return int(datetime.fromisoformat(record["created_at"]).timestamp() * 1000)


def _entities() -> Any:
    import mlflow.entities  # noqa: PLC0415  (seconds; the session has imported it already)

    return mlflow.entities
