"""What the scans found, and who answers for what they could not cover. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.metrics import mapping
from ml.gate.reasons import Reason
from ml.gate.scans import ACCEPTABLE, reason_of


def scanned(
    scans: Mapping[str, Any], subjects: Mapping[str, Any], created_at: object, policy: Mapping[str, Any]
) -> Iterator[Check]:
    """Every scan that is asked for or there, held against what it must have looked at (`ml.gate.scans`)."""
    for name in sorted({*policy["required"], *scans}):
        scan = scans.get(name)
        verdict = scan.get("verdict") if isinstance(scan, Mapping) else None
        reason = reason_of(name, scan, subjects.get(name), created_at, policy)
        excepted = reason in ACCEPTABLE and _is_excepted(name, created_at, policy)
        yield check(name, "scan", verdict, "pass", Reason.SCAN_EXCEPTED if excepted else reason)


def _is_excepted(name: str, created_at: object, policy: Mapping[str, Any]) -> bool:
    """Records older than the waivers have `exceptions` in their policy."""
    items = policy.get("exceptions")
    return any(
        item.get("scan") == name and isinstance(created_at, str) and created_at[:10] <= str(item.get("expires"))
        for item in map(mapping, items if isinstance(items, list) else ())
    )
