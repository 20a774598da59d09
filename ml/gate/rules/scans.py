"""What the scans found. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.scans import reason_of


def scanned(
    scans: Mapping[str, Any], subjects: Mapping[str, Any], created_at: object, policy: Mapping[str, Any]
) -> Iterator[Check]:
    """Every scan that is asked for or there, held against what it must have looked at (`ml.gate.scans`)."""
    for name in sorted({*policy["required"], *scans}):
        scan = scans.get(name)
        verdict = scan.get("verdict") if isinstance(scan, Mapping) else None
        yield check(name, "scan", verdict, "pass", reason_of(name, scan, subjects.get(name), created_at, policy))
