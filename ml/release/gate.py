"""The gate: evidence in, verdict out. Owns the direction and the range of every metric.

Pure and standard library only: the Pulumi program and the policy pack re-run it on the numbers inside a record. It
reads no file, no clock and no network. Fails closed: what is missing, unknown or not a number never passes.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeGuard

from ml.release.reasons import Reason

Outcome = Literal["pass", "fail", "inconclusive"]
Mode = Literal["champion", "bootstrap"]
Rule = Literal["floor", "champion", "rows", "drift", "scan"]
ROUNDING_DIGITS = 12  # so that 0.70 against a champion of 0.75 is exactly the allowed drop, not a rounding error more


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """What a metric can be: its better direction and its range."""

    higher_is_better: bool
    low: float = -math.inf
    high: float = math.inf


_SHARE = Metric(higher_is_better=True, low=0.0, high=1.0)
_LOSS = Metric(higher_is_better=False, low=0.0)
METRICS: Mapping[str, Metric] = {
    "accuracy": _SHARE,
    "precision": _SHARE,
    "recall": _SHARE,
    "f1": _SHARE,
    "roc_auc": _SHARE,
    "log_loss": _LOSS,
    "rmse": _LOSS,
    "mae": _LOSS,
    "r2": Metric(higher_is_better=True, high=1.0),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One rule and how it ended. `limit` is the number that `value` was held against."""

    name: str
    rule: Rule
    value: Any
    limit: Any
    outcome: Outcome
    reason: Reason

    def to_json(self) -> dict[str, Any]:
        """The check as it stands in a record."""
        return {**asdict(self), "value": plain(self.value), "limit": plain(self.limit), "reason": str(self.reason)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What the gate judges; each part as it stands in the record.

    `champion_metrics` is None when there is no champion: bootstrap, absolute floors only. `created_at` decides whether
    an exception of the policy had expired, so that a record's verdict never changes with the day it is read.
    """

    metrics: Mapping[str, Any]
    champion_metrics: Mapping[str, Any] | None
    test_rows: int
    drift: Mapping[str, Any]
    scans: Mapping[str, Any]
    created_at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The gate's answer."""

    mode: Mode
    checks: tuple[Check, ...]
    verdict: Outcome


def judge(evidence: Evidence, policy: Mapping[str, Any]) -> Judgement:
    """Judge the evidence by a policy that `fields.policy_problems` finds nothing wrong with."""
    checks = (
        *_floors(evidence, policy),
        *_against_champion(evidence, policy),
        _rows(evidence, policy),
        *_drift(evidence.drift, policy["drift"]),
        *_scans(evidence, policy["scans"]),
    )
    mode: Mode = "bootstrap" if evidence.champion_metrics is None else "champion"
    return Judgement(mode=mode, checks=checks, verdict=verdict_of([check.outcome for check in checks]))


def evidence_of(record: Mapping[str, Any]) -> Evidence:
    """The evidence in a record whose fields have the right shape; its `gate` may still be missing."""
    champion = record["champion"]
    return Evidence(
        metrics=record["metrics"],
        champion_metrics=None if champion is None else champion["metrics"],
        test_rows=record["data"]["test"]["rows"],
        drift=record["drift"],
        scans=record["scans"],
        created_at=record["created_at"],
    )


def section(judgement: Judgement, policy: Mapping[str, Any]) -> dict[str, Any]:
    """The record's `gate`."""
    return {
        "mode": judgement.mode,
        "policy": policy,
        "checks": [check.to_json() for check in judgement.checks],
        "verdict": judgement.verdict,
    }


def verdict_of(outcomes: Sequence[str]) -> Outcome:
    """Fail if any failed (or none was made), else inconclusive if any was, else pass."""
    if not outcomes or any(outcome not in ("pass", "inconclusive") for outcome in outcomes):
        return "fail"
    return "inconclusive" if "inconclusive" in outcomes else "pass"


def plain(value: Any) -> Any:
    """The value as JSON can hold it: NaN and infinity become the strings "NaN", "Infinity" and "-Infinity"."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def is_number(value: object) -> TypeGuard[float]:
    """Whether the value is a number that a float can hold: not NaN, not infinite, no bool, no huge integer."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def flaw(name: str, metrics: Mapping[str, Any]) -> Reason | None:
    """What makes this metric unusable, whatever the limits are; None when it can be compared."""
    if name not in METRICS:
        return Reason.UNKNOWN
    if metrics.get(name) is None:
        return Reason.MISSING
    value = metrics[name]
    if not is_number(value):
        return Reason.NOT_FINITE
    kind = METRICS[name]
    return None if kind.low <= value <= kind.high else Reason.OUT_OF_RANGE


def adjust(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg adjusted p-values, in the order given; each is at least its own p.

    Source: Benjamini and Hochberg (1995), step-up procedure.
    """
    adjusted = [1.0] * len(p_values)
    smallest = 1.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index], reverse=True)
    for rank, index in zip(range(len(p_values), 0, -1), order, strict=True):
        smallest = min(smallest, p_values[index] * (len(p_values) / rank))
        adjusted[index] = smallest
    return adjusted


def _floors(evidence: Evidence, policy: Mapping[str, Any]) -> Iterator[Check]:
    for name, floor in sorted(policy["floors"].items()):
        yield _compared(name, "floor", evidence.metrics, floor, Reason.BEYOND_FLOOR)


def _against_champion(evidence: Evidence, policy: Mapping[str, Any]) -> Iterator[Check]:
    champion = evidence.champion_metrics
    if champion is None:
        return
    for name in sorted({*evidence.metrics, *champion, *policy["floors"]}):
        if flaw(name, champion) is not None:
            value = evidence.metrics.get(name)
            yield _check(name, "champion", value, champion.get(name), Reason.CHAMPION_UNUSABLE)
            continue
        drop = policy["max_drops"].get(name, policy["max_drop"])
        limit = champion[name] + (-drop if METRICS[name].higher_is_better else drop)
        limit = round(limit, ROUNDING_DIGITS)
        yield _compared(name, "champion", evidence.metrics, limit, Reason.WORSE_THAN_CHAMPION)


def _compared(
    name: str, rule: Literal["floor", "champion"], metrics: Mapping[str, Any], limit: float, worse: Reason
) -> Check:
    value: Any = metrics.get(name)
    reason = flaw(name, metrics)
    if reason is None:
        keeps = value >= limit if METRICS[name].higher_is_better else value <= limit
        reason = Reason.OK if keeps else worse
    return _check(name, rule, value, limit, reason)


def _check(name: str, rule: Rule, value: Any, limit: Any, reason: Reason) -> Check:
    return Check(name=name, rule=rule, value=value, limit=limit, outcome=_OUTCOMES.get(reason, "fail"), reason=reason)


_OUTCOMES: Mapping[Reason, Outcome] = {
    Reason.OK: "pass",
    Reason.SCAN_EXCEPTED: "pass",
    Reason.TOO_FEW_ROWS: "inconclusive",
    Reason.DRIFT_UNMEASURED: "inconclusive",
    Reason.SCAN_INCOMPLETE: "inconclusive",
}


def _rows(evidence: Evidence, policy: Mapping[str, Any]) -> Check:
    enough = evidence.test_rows >= policy["min_test_rows"]
    reason = Reason.OK if enough else Reason.TOO_FEW_ROWS
    return _check("test_rows", "rows", evidence.test_rows, policy["min_test_rows"], reason)


def _drift(drift: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Check]:
    features = drift.get("features", {})
    gated = {name: result for name, result in sorted(features.items()) if result.get("role") == "gate"}
    if not gated and policy["required"]:
        yield _check("drift", "drift", 0, 1, Reason.DRIFT_UNMEASURED)
    usable = {name: result for name, result in gated.items() if _is_usable(result)}
    tested = {name: result for name, result in usable.items() if _smaller(result) >= policy["min_rows"]}
    adjusted = dict(zip(tested, adjust([result["p"] for result in tested.values()]), strict=True))
    for name, result in gated.items():
        if name not in usable:
            yield _check(name, "drift", result.get("d"), policy["min_d"], Reason.DRIFT_UNUSABLE)
        elif name not in tested:
            yield _check(name, "drift", _smaller(result), policy["min_rows"], Reason.TOO_FEW_ROWS)
        else:
            moved = result["d"] >= policy["min_d"] and adjusted[name] <= policy["alpha"]
            yield _check(name, "drift", result["d"], policy["min_d"], Reason.DRIFTED if moved else Reason.OK)


def _smaller(result: Mapping[str, Any]) -> int:
    return int(min(result["n_reference"], result["n_current"]))


def _is_usable(result: Mapping[str, Any]) -> bool:
    counts = [result.get("n_reference"), result.get("n_current")]
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        return False
    if min(result["n_reference"], result["n_current"]) == 0:
        return True  # no rows: too few to decide, and there is no D to look at
    d, p = result.get("d"), result.get("p")
    return is_number(d) and is_number(p) and 0 <= d <= 1 and 0 <= p <= 1


def _scans(evidence: Evidence, policy: Mapping[str, Any]) -> Iterator[Check]:
    for name in sorted({*policy["required"], *evidence.scans}):
        scan = evidence.scans.get(name)
        verdict = scan.get("verdict") if isinstance(scan, Mapping) else None
        yield _check(name, "scan", verdict, "pass", _scan_reason(name, verdict, evidence.created_at, policy))


def _scan_reason(name: str, verdict: object, created_at: str, policy: Mapping[str, Any]) -> Reason:
    if verdict is None:
        return Reason.SCAN_MISSING
    if verdict == "pass":
        return Reason.OK
    if verdict != "incomplete":
        return Reason.SCAN_FAILED
    # Dates compare as text: both are ISO 8601, and `expires` is the last day on which the exception holds.
    valid = any(item["scan"] == name and created_at[:10] <= item["expires"] for item in policy["exceptions"])
    return Reason.SCAN_EXCEPTED if valid else Reason.SCAN_INCOMPLETE
