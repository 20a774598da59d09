"""Whether one scan of a record proves anything. Pure, standard library only.

"Nothing found" is worth something only where everything was looked at, of exactly what the release is made of, lately,
with advisory data of these days. Each way to fall short has a reason of its own. Nothing here trusts what a scan says
of itself: subject and coverage are held against the rest of the record.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from ml.gate.reasons import Reason

# Scans whose subject the record itself names elsewhere; the others are in its `subjects`, which `create` computes.
_OF_THE_LOCK = ("dependencies", "licences", "sbom-project")
_OF_THE_FILES = "model-files"
ACCEPTABLE = frozenset(
    {Reason.SCAN_INCOMPLETE, Reason.SCAN_SKIPPED, Reason.SCAN_NO_ADVISORIES, Reason.SCAN_OLD_ADVISORIES}
)
"""What somebody can answer for: a scan that could not look. Never a finding, another subject, or an old answer."""


def subjects_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Scan -> the SHA-256 of what it must have looked at, for a record of any shape."""
    found = dict(_mapping(record.get("subjects")))
    found |= dict.fromkeys(_OF_THE_LOCK, record.get("lock_sha256"))
    found[_OF_THE_FILES] = _of_files(record.get("files"))
    return found


def reason_of(name: str, scan: object, must: object, created_at: object, policy: Mapping[str, Any]) -> Reason:
    """Why a scan does or does not count.

    Args:
        name: The scan's name in the record.
        scan: What the record says of it; None when it is not there.
        must: The SHA-256 of what it must have looked at.
        created_at: When the record was made, so that the answer does not change with the day on which it is read.
        policy: The policy's `scans`.
    """
    if scan is None or (isinstance(scan, Mapping) and scan.get("verdict") is None):
        return Reason.SCAN_MISSING
    if not isinstance(scan, Mapping) or scan.get("verdict") not in ("pass", "incomplete"):
        return Reason.SCAN_FAILED
    fault = _fault(name, scan, must, created_at, policy)
    return fault or (Reason.OK if scan["verdict"] == "pass" else Reason.SCAN_INCOMPLETE)


def _fault(
    name: str, scan: Mapping[str, Any], must: object, created_at: object, policy: Mapping[str, Any]
) -> Reason | None:
    """What makes the scan worth nothing; first what nobody can answer for."""
    if not isinstance(must, str) or scan.get("subject_sha256") != must:
        return Reason.SCAN_OTHER_SUBJECT
    if not is_young(scan.get("scanned_at"), created_at, policy.get("max_age_hours")):
        return Reason.SCAN_STALE
    advisories = _advisories(name, scan, created_at, policy.get("advisories"))
    return advisories or (None if _is_whole(scan) else Reason.SCAN_SKIPPED)


def _advisories(name: str, scan: Mapping[str, Any], created_at: object, rule: object) -> Reason | None:
    """Whether the advisory data are there and of these days, for the scans that need any."""
    limits = _mapping(rule)
    needing = limits.get("scans", ())
    if not isinstance(needing, list | tuple) or name not in needing:
        return None
    day = _day(scan.get("database_date"))
    if day is None:
        return Reason.SCAN_NO_ADVISORIES
    made = _moment(created_at)
    old = made is None or not 0 <= (made.date() - day).days <= _number(limits.get("max_age_days"))
    return Reason.SCAN_OLD_ADVISORIES if old else None


def is_young(scanned_at: object, created_at: object, max_age_hours: object) -> bool:
    """Whether a scan is not older than the limit, and not from after the evidence that holds it either."""
    scanned, made = _moment(scanned_at), _moment(created_at)
    if scanned is None or made is None:
        return False
    return 0 <= (made - scanned).total_seconds() <= _number(max_age_hours) * 3600


def _is_whole(scan: Mapping[str, Any]) -> bool:
    covered, total = scan.get("covered"), scan.get("total")
    whole = all(isinstance(count, int) and not isinstance(count, bool) for count in (covered, total))
    return whole and covered == total and total != 0 and str(total)[0] != "-"


def _of_files(files: object) -> str | None:
    """As `ml.security.subjects.of_release_files`; that module reads files, so it is no part of the gate."""
    if not isinstance(files, Mapping) or not all(isinstance(sha256, str) for sha256 in files.values()):
        return None
    lines = "".join(f"{name}\0{files[name]}\n" for name in sorted(files, key=str))
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str) or not value.endswith("Z"):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _number(value: object) -> float:
    """The limit; one that is none allows nothing."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6
    return float(value) if fits and isinstance(value, int | float) else -1.0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
