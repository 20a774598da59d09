"""What a record's comparison says, in words for a reviewer. Pure; reads records that somebody may have broken."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml.gate.metrics import is_number, mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One metric, each part as text; empty where the record does not say it.

    `proven` is what the rows prove about the difference, `words` the whole comparison in one sentence.
    """

    metric: str
    value: str
    interval: str
    champion: str
    difference: str
    at_worst: str
    margin: str
    power: str
    proven: str
    words: str


def lines(record: Mapping[str, Any]) -> list[Line]:
    """Every metric of the record with its interval, and what the comparison with the champion proves."""
    metrics, champion = mapping(record.get("metrics")), mapping(record.get("champion"))
    intervals = mapping(mapping(record.get("evaluation")).get("intervals"))
    return [_line(name, record, metrics.get(name), mapping(intervals.get(name)), champion) for name in sorted(metrics)]


def detectable(entry: Mapping[str, Any]) -> str:
    """What the judging rows could have told about a metric: an entry of `gate.power`."""
    drop, chance = entry.get("detectable_drop"), entry.get("pass_if_equal")
    if not is_number(drop) or not is_number(chance):
        return ""
    return f"this test set could have detected a drop of {_figure(drop)}; an equal model passes in {100 * chance:.0f} %"


def _line(
    name: str, record: Mapping[str, Any], value: object, interval: Mapping[str, Any], champion: Mapping[str, Any]
) -> Line:
    gate = mapping(record.get("gate"))
    entry = mapping(mapping(champion.get("paired")).get(name))
    low, high = interval.get("low"), interval.get("high")
    known = is_number(low) and is_number(high)
    bound, margin = _against_champion(gate, name) if entry else (None, None)
    theirs = _figure(mapping(champion.get("metrics")).get(name))
    change, proven = _apart(entry.get("difference"), level="level with"), _proven(bound, margin, gate)
    return Line(
        metric=name,
        value=_figure(value),
        interval=f"{_figure(low)} to {_figure(high)}" if known else "",
        champion=theirs,
        difference=_signed(entry.get("difference")),
        at_worst=_signed(bound),
        margin=_signed(margin),
        power=detectable(mapping(mapping(gate.get("power")).get(name))),
        proven=proven,
        words=f"{name} {_figure(value)}, {change} the champion's {theirs}; {proven}" if proven else "",
    )


def _proven(bound: object, margin: object, gate: Mapping[str, Any]) -> str:
    """The worst difference that the rows leave possible, how surely, and what is allowed."""
    alpha = mapping(mapping(gate.get("policy")).get("comparison")).get("alpha")
    if not is_number(bound) or not is_number(margin) or not is_number(alpha):
        return ""
    return f"at worst {_apart(bound)} ({100 * (1 - alpha):.4g} %), allowed {_apart(margin)}"


def _against_champion(gate: Mapping[str, Any], name: str) -> tuple[object, object]:
    checks = gate.get("checks")
    for check in map(mapping, checks if isinstance(checks, list) else ()):
        if (check.get("rule"), check.get("name")) == ("champion", name):
            return check.get("value"), check.get("limit")
    return None, None


def _figure(value: object) -> str:
    return f"{value:.4g}" if is_number(value) else ""


def _signed(value: object) -> str:
    return f"{value:+.4f}" if is_number(value) else ""


def _apart(value: object, *, level: str = "level") -> str:
    """A difference to the champion's value in words: of a sign nobody knows which side it is of."""
    if not is_number(value):
        return ""
    size = f"{abs(value):.4f}" if abs(value) < 1 else f"{abs(value):.4g}"
    return f"{size} {'above' if value > 0 else 'below'}" if float(size) else level
