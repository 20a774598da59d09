"""Everything that can be wrong with a release record: form, seal, shape, and a verdict that does not follow.

Pure: `infra` and `policies` decide by `problems` alone. It never raises on a record that somebody edited.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.judge import evidence_of, judge
from ml.release.fields import record_flaws
from ml.release.record import Problem, read, unsealed

# A sealed record of a release that did not pass has these and only these.
OF_A_VERDICT = frozenset({"ML-REL-110", "ML-REL-112", "ML-REL-114"})
_FLAW_CODES = {"missing": "ML-REL-104", "unknown": "ML-REL-105", "wrong": "ML-REL-106"}


def problems(raw: bytes) -> list[Problem]:
    """Everything that is wrong with a record. Empty: it is unchanged since it was sealed and its verdict is pass.

    The gate is run again on the numbers in the record, so a verdict that does not follow from them is found even
    when the digest was computed anew.
    """
    record, problem = read(raw)
    if problem is not None:
        return [problem]
    flaws = record_flaws(record)
    found = [Problem(code=_FLAW_CODES[item.kind], message=item.message) for item in flaws]
    return [*unsealed(raw), *found, *([] if flaws else _gate_problems(record))]


def _gate_problems(record: Mapping[str, Any]) -> Iterator[Problem]:
    """Compare what the gate says about the numbers in the record with what the record says it said."""
    gate = record["gate"]
    again = judge(evidence_of(record), gate["policy"])
    if again.mode != gate["mode"]:
        yield Problem(
            code="ML-REL-115", message=f"gate.mode={gate['mode']!r}, but the record's champion says otherwise"
        )
    if again.verdict != gate["verdict"]:
        message = f"gate.verdict={gate['verdict']!r}, but the numbers in the record give {again.verdict!r}"
        yield Problem(code="ML-REL-115", message=message)
    if dict(again.power) != gate.get("power", {}):
        message = "gate.power is not what the numbers in the record say about the judging rows"
        yield Problem(code="ML-REL-115", message=message)
    if [check.to_json() for check in again.checks] != gate["checks"]:
        yield Problem(
            code="ML-REL-115", message="gate.checks are not what the gate says about the numbers in the record"
        )
