"""The gate: evidence in, verdict out.

Pure and standard library only: the Pulumi program and the policy pack re-run it on the numbers inside a record. It
reads no file, no clock and no network. Fails closed: what is missing, unknown or not a number never passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ml.gate.check import Check, Outcome
from ml.gate.rules.compared import against_champion, floors
from ml.gate.rules.drift import drifted
from ml.gate.rules.rows import enough_rows
from ml.gate.rules.scans import scanned
from ml.gate.rules.snapshot import pinned
from ml.gate.scans import subjects_of

Mode = Literal["champion", "bootstrap"]


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
    subjects: Mapping[str, Any] = field(default_factory=dict)
    """Scan -> SHA-256 of what it must have looked at."""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The gate's answer."""

    mode: Mode
    checks: tuple[Check, ...]
    verdict: Outcome


def judge(evidence: Evidence, policy: Mapping[str, Any]) -> Judgement:
    """Judge the evidence by a policy that `fields.policy_problems` finds nothing wrong with."""
    checks = (
        *floors(evidence.metrics, policy),
        *against_champion(evidence.metrics, evidence.champion_metrics, policy),
        enough_rows(evidence.test_rows, policy),
        *pinned(evidence.data, policy),
        *drifted(evidence.drift, policy["drift"]),
        *scanned(evidence.scans, evidence.subjects, evidence.created_at, policy["scans"]),
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
        subjects=subjects_of(record),
        data=record["data"],
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
