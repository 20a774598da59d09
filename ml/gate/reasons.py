"""Every reason that a check of the gate can end with, and its words for people. Pure."""

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """Why a check ended as it did; the words of `REASONS` explain each."""

    OK = "ok"
    MISSING = "metric-missing"
    NOT_FINITE = "metric-not-finite"
    OUT_OF_RANGE = "metric-out-of-range"
    UNKNOWN = "metric-unknown"
    BEYOND_FLOOR = "beyond-floor"
    WORSE_THAN_CHAMPION = "worse-than-champion"
    CHAMPION_UNUSABLE = "champion-metric-unusable"
    TOO_FEW_ROWS = "too-few-rows"
    SNAPSHOT_UNPINNED = "snapshot-unpinned"
    SNAPSHOT_CHANGED = "snapshot-changed"
    DRIFTED = "drifted"
    DRIFT_UNUSABLE = "drift-unusable"
    DRIFT_UNMEASURED = "drift-unmeasured"
    SCAN_MISSING = "scan-missing"
    SCAN_FAILED = "scan-failed"
    SCAN_OTHER_SUBJECT = "scan-other-subject"
    SCAN_STALE = "scan-stale"
    SCAN_SKIPPED = "scan-skipped"
    SCAN_NO_ADVISORIES = "scan-no-advisories"
    SCAN_OLD_ADVISORIES = "scan-old-advisories"
    SCAN_INCOMPLETE = "scan-incomplete"
    SCAN_EXCEPTED = "scan-accepted-exception"


REASONS: Mapping[Reason, str] = {
    Reason.OK: "the value keeps the rule",
    Reason.MISSING: "the metric is not in the record",
    Reason.NOT_FINITE: "the metric is NaN, infinite or not a number",
    Reason.OUT_OF_RANGE: "the metric lies outside what it can be, so its computation is wrong",
    Reason.UNKNOWN: "the gate does not know which direction of this metric is better",
    Reason.BEYOND_FLOOR: "the metric is worse than the absolute floor",
    Reason.WORSE_THAN_CHAMPION: "the metric is worse than the champion's by more than the allowed drop",
    Reason.CHAMPION_UNUSABLE: "the champion has no usable value for this metric on the same rows",
    Reason.TOO_FEW_ROWS: "too few rows to decide",
    Reason.SNAPSHOT_UNPINNED: "no snapshot of the data was kept, so nobody can train on the same rows again",
    Reason.SNAPSHOT_CHANGED: "the snapshot that was kept is not the data that trained and judged",
    Reason.DRIFTED: "the feature's distribution moved, beyond chance and by more than the effect floor",
    Reason.DRIFT_UNUSABLE: "the drift result of the feature is missing, not finite or out of range",
    Reason.DRIFT_UNMEASURED: "the policy asks for drift evidence and no gated feature has any",
    Reason.SCAN_MISSING: "the policy asks for this scan and the record has none",
    Reason.SCAN_FAILED: "the scan found something that must be fixed",
    Reason.SCAN_OTHER_SUBJECT: "the scan looked at something else than what the release is made of",
    Reason.SCAN_STALE: "the scan is older than its limit, newer than the record, or does not say when it looked",
    Reason.SCAN_SKIPPED: "the scan did not look at every part of its subject, and no valid waiver accepts that",
    Reason.SCAN_NO_ADVISORIES: "the scan had no advisory data to compare with, and no valid waiver accepts that",
    Reason.SCAN_OLD_ADVISORIES: "the scan's advisory data are older than their limit, and no valid waiver accepts that",
    Reason.SCAN_INCOMPLETE: "the scan could not cover its subject, and no valid exception accepts that",
    Reason.SCAN_EXCEPTED: "the scan could not cover its subject; an exception with owner and expiry accepts that",
}
