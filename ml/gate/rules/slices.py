"""No part of the test rows may be surely worse than a floor, or surely worse than the champion by more than a margin.

Pure. A slice fails only when chance does not explain it: some slice of thirty always looks bad. Each slice is one test,
and Holm over all of them bounds the chance that any fails wrongly by `alpha`. Slices with fewer rows than `min_rows`
stand in the record and are never judged. Each column shows its worst slice.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from ml.gate.check import Check, Rule, check
from ml.gate.metrics import METRICS, flaw, is_count, is_number, mapping
from ml.gate.reasons import Reason
from ml.statistics.means import Difference, p_no_worse
from ml.statistics.multiplicity import holm

_NORMAL = NormalDist()
_Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tested:
    """One slice that is large enough; `p` is small where it is worse than `limit` beyond chance, None if unusable."""

    column: str
    name: str
    value: Any
    limit: float
    p: float | None
    flaw: Reason | None = None


def sliced(
    evaluation: Mapping[str, Any], champion: Mapping[str, Any] | None, policy: Mapping[str, Any]
) -> Iterator[Check]:
    """Every column of slices: against the floor of the slices' metric, and against the champion.

    Args:
        evaluation: The record's section.
        champion: The record's section; None without a champion.
        policy: The whole policy.
    """
    rule = policy["slices"]
    found = mapping(evaluation.get("slices"))
    columns, metric = found.get("columns"), found.get("metric")
    if not isinstance(columns, Mapping):
        yield check("slices", "slice", None, None, Reason.SLICES_MISSING)
        return
    if (
        not isinstance(metric, str)
        or metric not in METRICS
        or not all(_is_column(entries) for entries in columns.values())
    ):
        yield check("slices", "slice", metric, None, Reason.SLICES_UNUSABLE)
        return
    if metric in rule["floors"]:
        confidence = evaluation.get("confidence")
        tested = [_against_floor(*each, metric, rule, confidence) for each in _large(columns, rule)]
        yield from _shown("slice", columns, tested, rule)
    if champion is not None and columns:
        yield from _against_champion(columns, metric, champion, rule)


def _is_column(entries: object) -> bool:
    return isinstance(entries, list) and all(
        isinstance(entry, Mapping) and isinstance(entry.get("value"), str) and is_count(entry.get("rows"))
        for entry in entries
    )


def _large(columns: Mapping[str, list[_Entry]], rule: Mapping[str, Any]) -> Iterator[tuple[str, _Entry]]:
    for column in sorted(columns):
        yield from ((column, entry) for entry in columns[column] if entry["rows"] >= rule["min_rows"])


def _against_floor(column: str, entry: _Entry, metric: str, rule: Mapping[str, Any], confidence: Any) -> _Tested:
    floor, higher = rule["floors"][metric], METRICS[metric].higher_is_better
    name, estimate = f"{column}={entry['value']}", entry.get("estimate")
    if estimate is None:
        return _Tested(column=column, name=name, value=None, limit=floor, p=None, flaw=Reason.SLICE_UNMEASURED)
    low, high = entry.get("low"), entry.get("high")
    usable = is_number(low) and is_number(high) and is_number(estimate) and low <= estimate <= high
    if not usable or flaw(metric, {metric: estimate}) is not None or not _is_confidence(confidence):
        return _Tested(column=column, name=name, value=estimate, limit=floor, p=None, flaw=Reason.SLICES_UNUSABLE)
    # The interval's own half on the side of the floor gives the spread, so its shape near 0 and 1 is respected.
    half = high - estimate if higher else estimate - low
    below = floor - estimate if higher else estimate - floor
    spread = half / _NORMAL.inv_cdf(0.5 + confidence / 2.0)
    p = float(below <= 0.0) if spread <= 0.0 else _NORMAL.cdf(-below / spread)
    return _Tested(column=column, name=name, value=estimate, limit=floor, p=p)


def _is_confidence(value: object) -> bool:
    return is_number(value) and 0.5 <= value < 1.0


def _against_champion(
    columns: Mapping[str, list[_Entry]], metric: str, champion: Mapping[str, Any], rule: Mapping[str, Any]
) -> Iterator[Check]:
    theirs, metrics = mapping(champion.get("slices")), mapping(champion.get("metrics"))
    if not isinstance(theirs.get("columns"), Mapping):
        yield check("slices", "slice-champion", None, None, Reason.SLICES_MISSING)
        return
    if theirs.get("metric") != metric or not _same(columns, theirs["columns"]) or flaw(metric, metrics) is not None:
        yield check("slices", "slice-champion", theirs.get("metric"), metric, Reason.SLICES_UNUSABLE)
        return
    higher = METRICS[metric].higher_is_better
    # What is a share has a margin in points; what has a unit, or no upper end, one relative to the champion's value.
    margin = rule["margin"] if higher else rule["relative_margin"] * abs(metrics[metric])
    tested = [
        _difference(column, entry, margin, higher_is_better=higher) for column, entry in _large(theirs["columns"], rule)
    ]
    yield from _shown("slice-champion", columns, tested, rule)


def _same(ours: Mapping[str, list[_Entry]], theirs: Mapping[str, Any]) -> bool:
    """Both models were judged on the same slices of the same rows."""
    if set(ours) != set(theirs) or not all(_is_column(entries) for entries in theirs.values()):
        return False
    cut = [
        [(entry["value"], entry["rows"]) for entry in side[column]]
        for side in (ours, theirs)
        for column in sorted(ours)
    ]
    return cut[: len(ours)] == cut[len(ours) :]


def _difference(column: str, entry: _Entry, margin: float, *, higher_is_better: bool) -> _Tested:
    name, difference, spread = f"{column}={entry['value']}", entry.get("difference"), entry.get("standard_error")
    limit = -margin if higher_is_better else margin
    if difference is None:
        return _Tested(column=column, name=name, value=None, limit=limit, p=None, flaw=Reason.SLICE_UNMEASURED)
    if not is_number(difference) or not is_number(spread) or spread < 0.0:
        return _Tested(column=column, name=name, value=difference, limit=limit, p=None, flaw=Reason.SLICES_UNUSABLE)
    gain = difference if higher_is_better else -difference
    moved = Difference(value=gain, standard_error=spread, step=0.0, support=float(entry["rows"]))
    return _Tested(column=column, name=name, value=difference, limit=limit, p=p_no_worse(moved, margin))


def _shown(
    rule_name: Rule, columns: Mapping[str, list[_Entry]], tested: list[_Tested], rule: Mapping[str, Any]
) -> Iterator[Check]:
    """Every slice that fails or cannot be judged; of a column without one, the slice nearest to failing."""
    judged = [each for each in tested if each.p is not None]
    adjusted = holm([each.p for each in judged if each.p is not None])
    reasons = {
        each.name: Reason.SLICE_WORSE if p <= rule["alpha"] else Reason.OK
        for each, p in zip(judged, adjusted, strict=True)
    }
    for column in sorted(columns):
        mine = [each for each in tested if each.column == column]
        if not mine:
            rows = max((entry["rows"] for entry in columns[column]), default=0)
            yield check(column, rule_name, rows, rule["min_rows"], Reason.SLICES_SMALL)
            continue
        bad = [each for each in mine if (each.flaw or reasons[each.name]) is not Reason.OK]
        nearest = min(mine, key=lambda each: 0.0 if each.p is None else each.p)
        for each in bad or [nearest]:
            yield check(each.name, rule_name, each.value, each.limit, each.flaw or reasons[each.name])
