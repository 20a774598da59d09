"""What the scans found, and who answers for what they could not cover. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.reasons import Reason


def scanned(scans: Mapping[str, Any], created_at: str, policy: Mapping[str, Any]) -> Iterator[Check]:
    """Every scan that is asked for or there; `created_at` decides whether an exception had expired."""
    for name in sorted({*policy["required"], *scans}):
        scan = scans.get(name)
        verdict = scan.get("verdict") if isinstance(scan, Mapping) else None
        yield check(name, "scan", verdict, "pass", _reason(name, verdict, created_at, policy))


def _reason(name: str, verdict: object, created_at: str, policy: Mapping[str, Any]) -> Reason:
    if verdict is None:
        return Reason.SCAN_MISSING
    if verdict == "pass":
        return Reason.OK
    if verdict != "incomplete":
        return Reason.SCAN_FAILED
    # Dates compare as text: both are ISO 8601, and `expires` is the last day on which the exception holds.
    valid = any(item["scan"] == name and created_at[:10] <= item["expires"] for item in policy["exceptions"])
    return Reason.SCAN_EXCEPTED if valid else Reason.SCAN_INCOMPLETE
