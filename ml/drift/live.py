"""The verdict on live inputs: the server's bin counts against those of the training data. Pure; numpy and scipy only.

Says ok, warn (a watched feature moved), alarm (a gated feature moved) or inconclusive (too few rows).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ml.drift.ks import KS, binned
from ml.errors import DataError
from ml.statistics.multiplicity import benjamini_hochberg

Verdict = Literal["ok", "warn", "alarm", "inconclusive"]
MISSING = "missing"
Counts = Mapping[str, Mapping[str, float]]
"""Feature -> bin ("0", "1", .. or "missing") -> rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What counts as drift: D of at least `min_d` that chance explains with at most `alpha`, on `min_rows` rows."""

    min_rows: int = 200
    min_d: float = 0.1
    alpha: float = 0.01


def judge(serving: Mapping[str, Any], live: Counts, limits: Limits) -> dict[str, Any]:
    """Judge live counts against the reference in a release's `serving.json`.

    Features of one role are tested together (Benjamini-Hochberg), so that many features do not mean many alarms.

    Raises:
        DataError: If the reference cannot be read.
    """
    results: dict[str, Any] = {}
    for role in ("gate", "watch"):
        tested = _tested(serving, live, role)
        enough = {name: ks for name, ks in tested.items() if min(ks.n_reference, ks.n_current) >= limits.min_rows}
        adjusted = dict(zip(enough, benjamini_hochberg([ks.p or 0.0 for ks in enough.values()]), strict=True))
        for name, ks in tested.items():
            p = adjusted.get(name)
            moved = None if p is None else (ks.d or 0.0) >= limits.min_d and p <= limits.alpha
            results[name] = {"role": role, "rows": ks.n_current, "d": _rounded(ks.d), "p": _rounded(p), "moved": moved}
    rows = max((_rows(live.get(name, {})) for name in results), default=0)
    return {"verdict": _verdict(results), "rows": rows, "min_rows": limits.min_rows, "features": results}


def _verdict(results: Mapping[str, Any]) -> Verdict:
    moved = {result["role"] for result in results.values() if result["moved"]}
    if "gate" in moved:
        return "alarm"
    gated = [result for result in results.values() if result["role"] == "gate"] or list(results.values())
    if not gated or any(result["moved"] is None for result in gated):
        return "inconclusive"
    return "warn" if moved else "ok"


def _tested(serving: Mapping[str, Any], live: Counts, role: str) -> dict[str, KS]:
    found: dict[str, KS] = {}
    try:
        roles = {feature["name"]: feature["drift"] for feature in serving["features"]}
        for name, reference in serving["reference"].items():
            if roles[name] == role:
                bins = [live.get(name, {}).get(str(index), 0.0) for index in range(len(reference["counts"]))]
                # Prometheus extrapolates an increase, so it is no whole number of rows.
                found[name] = binned(reference["counts"], [round(rows) for rows in bins])
    except (KeyError, TypeError, ValueError) as error:
        message = f"serving.json: the reference of the release cannot be read: {error!r}"
        raise DataError("ML-DRIFT-001", message, "mlp release verify ID") from error
    return found


def _rows(bins: Mapping[str, float]) -> int:
    return round(sum(bins.values()))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
