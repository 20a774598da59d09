"""The candidate against the champion on the same rows. Pure.

`sound` tests non-inferiority: the rows must prove that the candidate is not worse by more than a margin. Every metric
must pass, so the chance that a model which is too bad in any of them passes is at most alpha, without a correction
(intersection-union test: Berger 1982). A failure is declared when a metric is worse than the margin beyond chance, by
Holm over all metrics. In between the rows do not decide. `classic` compares point estimates with a fixed drop.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.metrics import METRICS, flaw, mapping
from ml.gate.reasons import Reason
from ml.statistics.comparison import Compared, compare, is_usable
from ml.statistics.multiplicity import holm

ROUNDING_DIGITS = 12  # so that 0.70 against a champion of 0.75 is exactly the allowed drop, not a rounding error more
_AGREES = 1e-9


def margin_of(name: str, champion_value: float, policy: Mapping[str, Any]) -> float:
    """How much worse than the champion a metric may be, in its own unit."""
    rule = policy["comparison"]
    if name in rule["margins"]:
        return float(rule["margins"][name])
    if name in rule["relative_margins"]:
        return float(rule["relative_margins"][name]) * abs(champion_value)
    return float(rule["margin"])


def compared(
    metrics: Mapping[str, Any], champion: Mapping[str, Any], policy: Mapping[str, Any]
) -> dict[str, tuple[Compared, float]]:
    """Every metric whose comparison in the record can be judged, with its margin."""
    theirs, paired = mapping(champion.get("metrics")), mapping(champion.get("paired"))
    found = {}
    for name in sorted({*metrics, *theirs}):
        if flaw(name, metrics) is None and flaw(name, theirs) is None and is_usable(paired.get(name)):
            margin = margin_of(name, theirs[name], policy)
            rule = policy["comparison"]
            found[name] = (
                compare(
                    paired[name],
                    margin=margin,
                    alpha=rule["alpha"],
                    power=rule["power"],
                    higher_is_better=METRICS[name].higher_is_better,
                ),
                margin,
            )
    return found


def non_inferior(
    metrics: Mapping[str, Any], champion: Mapping[str, Any], distinct_rows: object, policy: Mapping[str, Any]
) -> Iterator[Check]:
    """Every metric of either model, and every one that has a floor."""
    theirs, paired = mapping(champion.get("metrics")), mapping(champion.get("paired"))
    judged = compared(metrics, champion, policy)
    adjusted = dict(zip(judged, holm([result.p_no_worse for result, _ in judged.values()]), strict=True))
    for name in sorted({*metrics, *theirs, *policy["floors"]}):
        reason = _unusable(name, metrics, theirs, paired, distinct_rows)
        if name not in judged:
            yield check(name, "champion", metrics.get(name), theirs.get(name), reason or Reason.PAIRED_UNUSABLE)
            continue
        result, margin = judged[name]
        if reason is None:
            worse = Reason.WORSE_THAN_CHAMPION if adjusted[name] <= policy["comparison"]["alpha"] else Reason.UNPROVEN
            reason = Reason.OK if result.non_inferior and margin > 0.0 else worse
        limit = -margin if METRICS[name].higher_is_better else margin
        yield check(name, "champion", result.bound, limit, reason)


def within_drop(metrics: Mapping[str, Any], champion: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Check]:
    """The metrics that `classic` looks at, against the champion's value less the allowed drop."""
    theirs, rule = mapping(champion.get("metrics")), policy["classic"]
    names = [name for name in rule["metrics"] if name in {*metrics, *theirs, *policy["floors"]}]
    if not names:
        yield check("champion", "champion", 0, 1, Reason.NOTHING_COMPARED)
    for name in sorted(names):
        if flaw(name, theirs) is not None:
            yield check(name, "champion", metrics.get(name), theirs.get(name), Reason.CHAMPION_UNUSABLE)
            continue
        higher = METRICS[name].higher_is_better
        drop = rule["max_drops"].get(name, rule["max_drop"])
        limit = round(theirs[name] + (-drop if higher else drop), ROUNDING_DIGITS)
        reason = flaw(name, metrics)
        if reason is None:
            keeps = metrics[name] >= limit if higher else metrics[name] <= limit
            reason = Reason.OK if keeps else Reason.WORSE_THAN_CHAMPION
        yield check(name, "champion", metrics.get(name), limit, reason)


def _unusable(
    name: str,
    metrics: Mapping[str, Any],
    theirs: Mapping[str, Any],
    paired: Mapping[str, Any],
    distinct_rows: object,
) -> Reason | None:
    """What is wrong with a comparison before anything is tested."""
    if (reason := flaw(name, metrics)) is not None:
        return reason
    if flaw(name, theirs) is not None:
        return Reason.CHAMPION_UNUSABLE
    if name not in paired:
        return Reason.PAIRED_MISSING
    entry = paired[name]
    if not is_usable(entry) or not _same_rows(name, entry, distinct_rows):
        return Reason.PAIRED_UNUSABLE
    return None


def _same_rows(name: str, entry: Mapping[str, Any], distinct_rows: object) -> bool:
    """The comparison used the distinct judging rows, or, for a share of one class, some of them."""
    if not isinstance(distinct_rows, int):
        return False
    return bool(entry["n"] <= distinct_rows if name == "recall" else entry["n"] == distinct_rows)


def contradictions(
    metrics: Mapping[str, Any], champion: Mapping[str, Any], counts: Mapping[str, Any]
) -> Iterator[Check]:
    """Without copies among the rows, each difference is that of the two metrics; another one is made up."""
    theirs, paired = mapping(champion.get("metrics")), mapping(champion.get("paired"))
    if counts.get("rows") != counts.get("distinct_rows"):
        return
    for name in sorted(paired):
        if flaw(name, metrics) is None and flaw(name, theirs) is None and is_usable(paired[name]):
            expected = metrics[name] - theirs[name]
            said = paired[name]["difference"]
            if abs(said - expected) > _AGREES * max(1.0, abs(expected)):
                yield check(name, "champion", said, expected, Reason.PAIRED_CONTRADICTS)
