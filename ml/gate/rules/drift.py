"""What moved between the reference and the judging rows: `ml.drift.decide` on the record's numbers. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.drift.decide import CLASSIC_ALPHA, Outcome, judge
from ml.gate.check import Check, check
from ml.gate.reasons import Reason


def drifted(drift: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Check]:
    """Every gated feature (and answer of the model): beyond chance and by at least the effect floor.

    Watched ones are measured, shown and never block.
    """
    gated = [outcome for outcome in judge(drift, policy) if outcome.role == "gate"]
    if not gated and policy["required"]:
        yield check("drift", "drift", 0, 1, Reason.DRIFT_UNMEASURED)
    for outcome in gated:
        yield _checked(outcome, policy)


def _checked(outcome: Outcome, policy: Mapping[str, Any]) -> Check:
    if outcome.state == "unusable":
        return check(outcome.name, "drift", outcome.effect, outcome.floor, Reason.DRIFT_UNUSABLE)
    if outcome.state == "too-few":
        return check(outcome.name, "drift", outcome.rows, policy["min_rows"], Reason.TOO_FEW_ROWS)
    reason = Reason.DRIFTED if outcome.state == "moved" else Reason.OK
    if policy.get("rule") == "classic":
        return check(outcome.name, "drift", outcome.p, CLASSIC_ALPHA, reason)
    return check(outcome.name, "drift", outcome.effect, outcome.floor, reason)
