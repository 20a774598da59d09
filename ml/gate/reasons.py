"""Every reason that a check of the gate can end with, its words for people, and what it makes of the check. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

Outcome = Literal["pass", "fail", "inconclusive"]


class Reason(StrEnum):
    """Why a check ended as it did; the words of `REASONS` explain each."""

    OK = "ok"
    POLICY_UNUSABLE = "policy-unusable"
    MISSING = "metric-missing"
    NAN = "metric-nan"
    INFINITE = "metric-infinite"
    NOT_A_NUMBER = "metric-not-a-number"
    OUT_OF_RANGE = "metric-out-of-range"
    UNKNOWN = "metric-unknown"
    BEYOND_FLOOR = "beyond-floor"
    EVALUATION_MISSING = "evaluation-missing"
    OTHER_MODEL = "another-models-metrics"
    COUNTS_UNUSABLE = "counts-unusable"
    NO_ROWS = "no-rows"
    TOO_FEW_ROWS = "too-few-rows"
    TOO_FEW_OF_A_CLASS = "too-few-of-a-class"
    SINGLE_CLASS = "single-class"
    COPIED_ROWS = "copied-rows"
    CONSTANT = "constant-predictions"
    INTERVAL_UNUSABLE = "interval-unusable"
    BY_CHANCE = "no-better-than-chance"
    CHAMPION_UNUSABLE = "champion-metric-unusable"
    PAIRED_MISSING = "paired-missing"
    PAIRED_UNUSABLE = "paired-unusable"
    PAIRED_CONTRADICTS = "paired-contradicts-metrics"
    UNPROVEN = "not-proven-as-good"
    WORSE_THAN_CHAMPION = "worse-than-champion"
    NOTHING_COMPARED = "nothing-compared"
    SNAPSHOT_UNPINNED = "snapshot-unpinned"
    SNAPSHOT_CHANGED = "snapshot-changed"
    SLICES_MISSING = "slices-missing"
    SLICES_UNUSABLE = "slices-unusable"
    SLICE_UNMEASURED = "slice-unmeasured"
    SLICES_SMALL = "slices-too-small"
    SLICE_WORSE = "slice-surely-worse"
    ANSWERS_MISSING = "answers-not-compared"
    ANSWERS_UNUSABLE = "answers-unusable"
    ANSWERS_MOVED = "answers-moved"
    RUNTIME_MISSING = "runtime-missing"
    RUNTIME_UNUSABLE = "runtime-unusable"
    BEYOND_RUNTIME = "beyond-runtime-limit"
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
    WAIVED = "waived"


REASONS: Mapping[Reason, str] = {
    Reason.OK: "the value keeps the rule",
    Reason.POLICY_UNUSABLE: "the policy in the record is not one that the gate can judge by",
    Reason.MISSING: "the metric is not in the record",
    Reason.NAN: "the metric is NaN: its computation found nothing to measure",
    Reason.INFINITE: "the metric is infinite",
    Reason.NOT_A_NUMBER: "the metric is not a number",
    Reason.OUT_OF_RANGE: "the metric lies outside what it can be, so its computation is wrong",
    Reason.UNKNOWN: "the gate does not know which direction of this metric is better",
    Reason.BEYOND_FLOOR: "the metric is worse than the absolute floor",
    Reason.EVALUATION_MISSING: "the record does not say how the metrics were measured",
    Reason.OTHER_MODEL: "the metrics were measured with another model than the release holds",
    Reason.COUNTS_UNUSABLE: "the counts of the judging rows are missing, negative, no whole numbers or do not add up",
    Reason.NO_ROWS: "there are no judging rows",
    Reason.TOO_FEW_ROWS: "too few rows to decide",
    Reason.TOO_FEW_OF_A_CLASS: "too few judging rows of the rarest class to decide",
    Reason.SINGLE_CLASS: "the judging rows have one class only, so they cannot tell a good model from a constant",
    Reason.COPIED_ROWS: "too many judging rows are copies of others, so they say less than their number",
    Reason.CONSTANT: "the model predicts the same for every row",
    Reason.INTERVAL_UNUSABLE: "the confidence interval of the metric is missing, not finite or does not hold its value",
    Reason.BY_CHANCE: "the model is no better than chance: its confidence interval holds what a constant would reach",
    Reason.CHAMPION_UNUSABLE: "the champion has no usable value for this metric on the same rows",
    Reason.PAIRED_MISSING: "the record has no comparison with the champion on the same rows for this metric",
    Reason.PAIRED_UNUSABLE: "the comparison has numbers that are not finite, impossible counts, or other rows",
    Reason.PAIRED_CONTRADICTS: "the comparison says another difference than the two metrics",
    Reason.UNPROVEN: "the rows do not prove that the metric is within the margin of the champion's; more rows may",
    Reason.WORSE_THAN_CHAMPION: "the metric is worse than the champion's by more than what is allowed",
    Reason.NOTHING_COMPARED: "the policy compares with the champion and no metric of it was there to compare",
    Reason.SNAPSHOT_UNPINNED: "no snapshot of the data was kept, so nobody can train on the same rows again",
    Reason.SNAPSHOT_CHANGED: "the snapshot that was kept is not the data that trained and judged",
    Reason.SLICES_MISSING: "the policy judges slices and the record has none, or not those of the champion",
    Reason.SLICES_UNUSABLE: "a slice has numbers that are not finite or do not fit each other, or other rows",
    Reason.SLICE_UNMEASURED: "the metric means nothing on this slice, although it is large enough to be judged",
    Reason.SLICES_SMALL: "no slice of this column has enough rows to be judged; they are reported only",
    Reason.SLICE_WORSE: "the slice is worse than the limit beyond chance, with all slices taken into account",
    Reason.ANSWERS_MISSING: "the record does not say how far the answers differ from the champion's",
    Reason.ANSWERS_UNUSABLE: "the comparison of answers has numbers that cannot be",
    Reason.ANSWERS_MOVED: "many requests get another answer than the champion's: a person has to say that it is meant",
    Reason.RUNTIME_MISSING: "the record does not say what a prediction costs",
    Reason.RUNTIME_UNUSABLE: "the figure is not a number, or negative",
    Reason.BEYOND_RUNTIME: "the model is larger, slower or needs more memory than the policy allows",
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
    Reason.SCAN_INCOMPLETE: "the scan could not cover its subject, and no valid waiver accepts that",
    Reason.WAIVED: "a waiver with owner, reason and expiry accepts it",
}

_PASSES = frozenset({Reason.OK, Reason.SLICES_SMALL, Reason.WAIVED})
_UNDECIDED = frozenset(
    {
        Reason.TOO_FEW_ROWS,
        Reason.TOO_FEW_OF_A_CLASS,
        Reason.SINGLE_CLASS,
        Reason.COPIED_ROWS,
        Reason.UNPROVEN,
        Reason.NOTHING_COMPARED,
        Reason.SLICE_UNMEASURED,
        Reason.ANSWERS_MOVED,
        Reason.DRIFT_UNMEASURED,
        Reason.SCAN_INCOMPLETE,
        Reason.SCAN_SKIPPED,
        Reason.SCAN_NO_ADVISORIES,
        Reason.SCAN_OLD_ADVISORIES,
    }
)
WAIVABLE = frozenset(
    {
        Reason.SCAN_INCOMPLETE,
        Reason.SCAN_SKIPPED,
        Reason.SCAN_NO_ADVISORIES,
        Reason.SCAN_OLD_ADVISORIES,
        Reason.DRIFT_UNMEASURED,
        Reason.DRIFTED,
    }
)
"""What a person may answer for. What the model does on its own rows, and whose numbers they are, is not among them."""


def outcome_of(reason: Reason) -> Outcome:
    """What a reason makes of its check; one that nothing is said about is a failure."""
    if reason in _PASSES:
        return "pass"
    return "inconclusive" if reason in _UNDECIDED else "fail"
