"""Show a candidate in MLflow: a run with its parameters, metrics, curves, environment and files. Not a version.

Whether it becomes a release is a person's decision: `mlp release create` makes the same model again and judges it.
"""

import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import DataError
from ml.tracking.session import session

if TYPE_CHECKING:
    from ml.training.candidate import Candidate

CANDIDATE_TAG, REASON_TAG = "candidate", "candidate_reason"
LETTERS = "dead-letters"
_PARAM_LIMIT = 6000  # characters of a value that MLflow stores
_TAG_LIMIT = 5000


def last_candidate(problem: str, *, tracking_uri: str, username: str | None, password: str | None) -> datetime | None:
    """When the newest candidate of a problem was logged by a retraining; None if never."""
    with session(tracking_uri, username, password) as client:
        found = client.get_experiment_by_name(problem)
        if found is None:
            return None
        wanted = f"tags.{CANDIDATE_TAG} = 'true' and tags.{REASON_TAG} != 'person'"
        runs = client.search_runs([found.experiment_id], wanted, order_by=["start_time DESC"], max_results=1)
        return datetime.fromtimestamp(runs[0].info.start_time / 1000, tz=UTC) if runs else None


def log_candidate(  # noqa: PLR0913  (all keyword-only but the candidate)
    candidate: "Candidate",
    *,
    reason: str,
    now: datetime,
    tracking_uri: str,
    username: str | None,
    password: str | None,
    letters: Path | None = None,
) -> str:
    """Log one run; returns its id.

    Args:
        candidate: Trained and judged.
        reason: Who asked: `schedule`, `drift`, `forced` or `person`.
        now: Start of the run.
        tracking_uri: Of the server.
        username: For basic auth; None for a server without it.
        password: For basic auth.
        letters: The dead letters of its data; a pod's own store goes with the pod.

    Raises:
        ConfigError: If the server refuses the credentials.
        TransientError: If it does not answer.
    """
    moment = int(now.timestamp() * 1000)
    with session(tracking_uri, username, password) as client, tempfile.TemporaryDirectory() as folder:
        run_id = _begun(client, candidate.problem, _tags(candidate, reason), now)
        client.log_batch(run_id, metrics=_metrics(candidate, moment), params=_params(candidate))
        for path in (candidate.model_path, candidate.serving_path, *_facts(candidate, Path(folder))):
            client.log_artifact(run_id, str(path))
        _keep_letters(client, run_id, letters)
        client.set_terminated(run_id, "FINISHED")
    return run_id


def log_refused(  # noqa: PLR0913  (all keyword-only but the problem and the error)
    problem: str,
    error: DataError,
    *,
    reason: str,
    now: datetime,
    tracking_uri: str,
    username: str | None,
    password: str | None,
    letters: Path | None,
) -> str:
    """Log that the data were refused, as a failed run that is no candidate; returns its id.

    Args:
        problem: Its name.
        error: What is wrong with the data.
        reason: As of `log_candidate`, and so are the others.
        now: Start of the run.
        tracking_uri: Of the server.
        username: For basic auth.
        password: For basic auth.
        letters: Examples of the rejected rows.

    Raises:
        ConfigError: If the server refuses the credentials.
        TransientError: If it does not answer.
    """
    with session(tracking_uri, username, password) as client:
        tags = {REASON_TAG: reason, "refused": error.code, "refused_because": str(error)[:_TAG_LIMIT]}
        run_id = _begun(client, problem, tags, now)
        _keep_letters(client, run_id, letters)
        client.set_terminated(run_id, "FAILED")
    return run_id


def _begun(client: Any, problem: str, tags: dict[str, str], now: datetime) -> str:
    found = client.get_experiment_by_name(problem)
    experiment = client.create_experiment(problem) if found is None else found.experiment_id
    name = f"candidate-{now:%Y%m%d-%H%M%S}"
    run = client.create_run(experiment, start_time=int(now.timestamp() * 1000), tags=tags, run_name=name)
    return str(run.info.run_id)


def _keep_letters(client: Any, run_id: str, letters: Path | None) -> None:
    if letters is not None:
        client.log_artifact(run_id, str(letters), LETTERS)


def _tags(candidate: "Candidate", reason: str) -> dict[str, str]:
    return {
        CANDIDATE_TAG: "true",
        REASON_TAG: reason,
        "model_sha256": candidate.files["model.onnx"],
        "snapshot_sha256": candidate.data["snapshot_sha256"],
        "tree_sha256": candidate.tree_sha256,
        "lock_sha256": candidate.lock_sha256,
        "python": str(candidate.environment["python"]),
    }


def _params(candidate: "Candidate") -> list[Any]:
    from mlflow.entities import Param  # noqa: PLC0415  (seconds; the session has imported it already)

    facts = {**candidate.parameters, "train_rows": candidate.data["train"]["rows"]}
    facts["test_rows"] = candidate.data["test"]["rows"]
    if candidate.search is not None:
        facts |= {f"search.{name}": candidate.search[name] for name in ("study", "sampler", "seed", "metric")}
        facts |= {f"search.{name}": value for name, value in candidate.search["budget"].items()}
    return [Param(name, str(value)[:_PARAM_LIMIT]) for name, value in sorted(facts.items())]


def _metrics(candidate: "Candidate", moment: int) -> list[Any]:
    """The metrics, where the rows went, and two curves over the trials: each one's value, and the best so far."""
    from mlflow.entities import Metric  # noqa: PLC0415

    ledger = candidate.data["ledger"]
    rows = {f"rows_{part}": sum(ledger[part].values()) for part in ("dropped", "rejected")}
    rows |= {f"rows_{part}": ledger[part] for part in ("total", "accepted")}
    found = [Metric(name, value, moment, 0) for name, value in sorted({**candidate.metrics, **rows}.items())]
    best = None
    for line in candidate.trials:
        if line["state"] == "complete":
            best = line["value"] if best is None else min(best, line["value"])
            found.append(Metric("search_value", line["value"], moment, line["trial"]))
            found.append(Metric("search_best", best, moment, line["trial"]))
    return found


def _facts(candidate: "Candidate", folder: Path) -> list[Path]:
    """What a release record would hold, and the search in the form that `--search` takes."""
    record = {
        name: getattr(candidate, name)
        for name in ("problem", "kind", "data", "environment", "parameters", "files", "model", "metrics", "search")
    }
    written = [_write(folder / "candidate.json", {**record, "tree_sha256": candidate.tree_sha256})]
    if candidate.search is not None:
        written.append(_write(folder / "search.json", candidate.search))
        written.append(_write(folder / "trials.json", {"trials": list(candidate.trials)}))
    return written


def _write(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(content, sort_keys=True, indent=1), encoding="utf-8")
    return path
