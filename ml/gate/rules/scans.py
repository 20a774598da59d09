"""What the scans found, and who answers for what they could not cover. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.reasons import Reason
from ml.gate.scans import ACCEPTABLE, reason_of


def scanned(
    scans: Mapping[str, Any], subjects: Mapping[str, Any], created_at: str, policy: Mapping[str, Any]
) -> Iterator[Check]:
    """Every scan that is asked for or there, held against what it must have looked at (`ml.gate.scans`).

    `created_at` decides whether an exception had expired.
    """
    for name in sorted({*policy["required"], *scans}):
        scan = scans.get(name)
        verdict = scan.get("verdict") if isinstance(scan, Mapping) else None
        reason = reason_of(name, scan, subjects.get(name), created_at, policy)
        excepted = reason in ACCEPTABLE and _is_excepted(name, created_at, policy)
        yield check(name, "scan", verdict, "pass", Reason.SCAN_EXCEPTED if excepted else reason)


def _is_excepted(name: str, created_at: str, policy: Mapping[str, Any]) -> bool:
    # Dates compare as text: both are ISO 8601, and `expires` is the last day on which the exception holds.
    return any(item["scan"] == name and created_at[:10] <= item["expires"] for item in policy["exceptions"])
