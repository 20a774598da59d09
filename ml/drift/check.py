"""One live check from end to end: release folder and Prometheus in, one JSON line and an exit code out.

Runs as a CronJob in the worker image, so it loads numpy, scipy and httpx only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from ml.drift.decide import Outcome, confirmed, judge, ranked, retrain, verdict
from ml.drift.live import Live, rows, section
from ml.drift.prometheus import Source, counts
from ml.errors import DataError, GateError

ALARM_EXIT_CODE = GateError.exit_code
POLICY: Mapping[str, Any] = {"min_rows": 500, "min_d": 0.05, "alpha": 0.01}
"""For a release folder without a record; else the check follows the policy by which the release was let through."""
WINDOWS: Mapping[str, int] = {"alarm": 2, "of": 5}


def check(
    source: Source, release_dir: Path, min_rows: int | None = None, client: httpx.Client | None = None
) -> dict[str, Any]:
    """Judge the live inputs of the newest window; see `ml.drift.decide` for the verdicts.

    A gated feature that moved is an alarm when it moved in enough of the newest windows (policy `windows`, by default 2
    of 5); windows with too few rows do not count, and where fewer windows have rows, all of them must have moved.

    Raises:
        DataError: If the release folder cannot be read.
        PipelineError: If Prometheus does not answer or refuses the query.
    """
    serving = _read(release_dir / "serving.json")
    release, policy = _record(release_dir / "record.json")
    policy = policy if min_rows is None else {**policy, "min_rows": min_rows}
    windows = policy.get("windows", WINDOWS)
    if release is not None:  # another release's counters in the same slot have other bins
        source = replace(source, match={"version": release, **source.match})
    with client or httpx.Client() as http:
        seen = [counts(source, http, ago) for ago in range(windows["of"])]
    judged = [judge(section(serving, live, policy.get("prediction", "watch")), policy) for live in seen]
    return {
        "problem": serving.get("problem"),
        "release": release,
        "window": source.window,
        "windows": {**windows, "moved": [_moved(outcomes) for outcomes in judged]},
        "rows": rows(seen[0]),
        "min_rows": policy["min_rows"],
        **_result(confirmed(judged, windows["alarm"]), seen[0], serving, policy),
    }


def exit_code(result: Mapping[str, Any]) -> int:
    """0 for ok, warn and inconclusive; 3 for an alarm."""
    return ALARM_EXIT_CODE if result["verdict"] == "alarm" else 0


def _result(
    outcomes: Sequence[Outcome], live: Live, serving: Mapping[str, Any], policy: Mapping[str, Any]
) -> dict[str, Any]:
    """The verdict, and per test its numbers, those that moved most first."""
    statistics = section(serving, live, policy.get("prediction", "watch"))
    found: dict[str, Any] = {}
    for outcome in ranked(outcomes):
        part = statistics["prediction" if outcome.part == "prediction" else "features"][outcome.feature]
        psi = {} if outcome.part == "missing" else {"psi": _rounded(part["psi"])}
        found[outcome.name] = {
            "role": outcome.role,
            "rows": outcome.rows if outcome.part == "missing" else part["n_current"],
            "d": _rounded(outcome.effect),
            "p": _rounded(outcome.adjusted),
            **psi,
            "moved": {"moved": True, "unconfirmed": True, "still": False}.get(outcome.state),
            "confirmed": outcome.state == "moved",
        }
    return {"verdict": verdict(outcomes), "retrain": retrain(outcomes), "features": found}


def _moved(outcomes: Sequence[Outcome]) -> list[str] | None:
    """What moved in one window; None for a window that has too few rows to say anything."""
    told = [outcome for outcome in outcomes if outcome.state in ("moved", "still")]
    return [outcome.name for outcome in told if outcome.state == "moved"] if told else None


def _record(path: Path) -> tuple[str | None, Mapping[str, Any]]:
    """The release and the drift policy that it was let through by."""
    if not path.exists():
        return None, POLICY
    record = _read(path)
    try:
        gate = record["gate"]["policy"]
        policy = {**gate["drift"], "rule": gate["preset"]}
        needed = {key: policy[key] for key in ("min_rows", "min_d", "alpha")}
        release = str(record["release"])
    except (KeyError, TypeError, AttributeError) as error:
        message = f"{path}: gate.policy.drift cannot be read: {error!r}"
        raise DataError("ML-DRIFT-001", message, "mlp release verify ID") from error
    return release, {**policy, **needed}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read: {error}"
        raise DataError(
            "ML-DRIFT-001", message, "--release-dir takes a folder such as releases/flights-0001"
        ) from error
    if not isinstance(content, dict):
        raise DataError("ML-DRIFT-001", f"{path}: must be a JSON object", "mlp release verify ID")
    return content


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
