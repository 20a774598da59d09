"""One live check from end to end: release folder and Prometheus in, one JSON line and an exit code out.

Runs as a CronJob in the worker image, so it loads numpy, scipy.special and httpx only.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from ml.drift.live import Limits, judge
from ml.drift.prometheus import Source, bin_counts
from ml.errors import DataError, GateError

ALARM_EXIT_CODE = GateError.exit_code


def check(
    source: Source, release_dir: Path, min_rows: int | None = None, client: httpx.Client | None = None
) -> dict[str, Any]:
    """Judge the live inputs of the window; see `ml.drift.live.judge` for the verdicts.

    The limits are those by which the release was let through, if its record lies in the folder.

    Raises:
        DataError: If the release folder cannot be read.
        PipelineError: If Prometheus does not answer or refuses the query.
    """
    serving = _read(release_dir / "serving.json")
    limits = _limits(release_dir / "record.json")
    limits = limits if min_rows is None else replace(limits, min_rows=min_rows)
    with client or httpx.Client() as http:
        live = bin_counts(source, http)
    return {"problem": serving.get("problem"), "window": source.window, **judge(serving, live, limits)}


def exit_code(result: Mapping[str, Any]) -> int:
    """0 for ok, warn and inconclusive; 3 for an alarm."""
    return ALARM_EXIT_CODE if result["verdict"] == "alarm" else 0


def _limits(record: Path) -> Limits:
    if not record.exists():
        return Limits()
    try:
        drift = _read(record)["gate"]["policy"]["drift"]
        return Limits(min_rows=drift["min_rows"], min_d=drift["min_d"], alpha=drift["alpha"])
    except (KeyError, TypeError) as error:
        message = f"{record}: gate.policy.drift cannot be read: {error!r}"
        raise DataError("ML-DRIFT-001", message, "mlp release verify ID") from error


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
