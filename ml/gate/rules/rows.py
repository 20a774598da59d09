"""Whether the judging rows can decide anything, and whether the metrics are this model's. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.metrics import is_count, mapping
from ml.gate.reasons import Reason


def enough_rows(test_rows: object, policy: Mapping[str, Any]) -> Check:
    """The number of judging rows, against the least that decides anything."""
    least = policy["min_test_rows"]
    if not is_count(test_rows):
        return check("test_rows", "rows", test_rows, least, Reason.COUNTS_UNUSABLE)
    reason = Reason.NO_ROWS if test_rows == 0 else Reason.OK if test_rows >= least else Reason.TOO_FEW_ROWS
    return check("test_rows", "rows", test_rows, least, reason)


def measured_with(evaluation: Mapping[str, Any], model_sha256: object) -> Check:
    """The metrics belong to the model file of the release."""
    found = evaluation.get("model_sha256")
    if not evaluation or found is None:
        return check("model_sha256", "model", None, _short(model_sha256), Reason.EVALUATION_MISSING)
    same = isinstance(found, str) and found == model_sha256
    reason = Reason.OK if same else Reason.OTHER_MODEL
    return check("model_sha256", "model", _short(found), _short(model_sha256), reason)


def decisive_rows(
    kind: object, evaluation: Mapping[str, Any], test_rows: object, policy: Mapping[str, Any]
) -> Iterator[Check]:
    """The counts behind the metrics: copies, the rarest class, and whether the model answers anything but one thing."""
    counts = mapping(evaluation.get("counts"))
    rows, distinct = counts.get("rows"), counts.get("distinct_rows")
    if not is_count(rows) or not is_count(distinct) or rows != test_rows or not min(rows, 1) <= distinct <= rows:
        yield check("counts", "rows", rows, test_rows, Reason.COUNTS_UNUSABLE)
        return
    yield from _copies(rows, distinct, policy)
    yield from _constant(counts.get("distinct_predictions"), rows)
    if kind != "regression":
        yield _rarest(counts, rows, policy)


def _copies(rows: int, distinct: int, policy: Mapping[str, Any]) -> Iterator[Check]:
    most, least = policy["max_copied_share"], policy["min_test_rows"]
    share = (rows - distinct) / rows if rows else 0.0
    yield check("copied_rows", "rows", share, most, Reason.OK if share <= most else Reason.COPIED_ROWS)
    if distinct < least <= rows:
        yield check("distinct_rows", "rows", distinct, least, Reason.COPIED_ROWS)


def _constant(answers: object, rows: int) -> Iterator[Check]:
    if not is_count(answers) or answers > rows or (rows and not answers):
        yield check("distinct_predictions", "rows", answers, 2, Reason.COUNTS_UNUSABLE)
    else:
        reason = Reason.CONSTANT if answers == 1 else Reason.OK
        yield check("distinct_predictions", "rows", answers, 2, reason)


def _rarest(counts: Mapping[str, Any], rows: int, policy: Mapping[str, Any]) -> Check:
    least = policy["min_class_rows"]
    classes = list(mapping(counts.get("classes")).values())
    if not classes or not all(map(is_count, classes)) or sum(classes) != rows:
        return check("rarest_class", "rows", None, least, Reason.COUNTS_UNUSABLE)
    if rows and sum(count > 0 for count in classes) == 1:
        return check("rarest_class", "rows", 0, least, Reason.SINGLE_CLASS)
    rarest = min(classes)
    return check("rarest_class", "rows", rarest, least, Reason.OK if rarest >= least else Reason.TOO_FEW_OF_A_CLASS)


def _short(digest: object) -> object:
    return digest[:12] if isinstance(digest, str) else digest
