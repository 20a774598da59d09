"""From a release record to what a reviewer must see, and which release a preview is about. Pure.

Reads records that somebody may have broken, so nothing here trusts a type and nothing here raises.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from infra.names import SLOTS
from ml.errors import GateError
from ml.gate.words import Line, lines
from ml.preview.facts import Evidence, GateCheck, Plan, Row, Slot
from ml.release.record import parse
from ml.stack.slots import State

_DRIFT_ROWS: Final = 12


def with_desired(plan: Plan, wanted: State) -> Plan:
    """The plan with what the stack's file asks for.

    A program that refuses a release registers nothing, so its event log says nothing about the slots.
    """
    held = {name: wanted.slots[name].release for name in SLOTS if name in wanted.slots}
    slots = tuple(Slot(name=name, before=plan.release_of(name, after=False), after=held.get(name)) for name in SLOTS)
    return replace(plan, slots=slots, live_after=wanted.live if held else None)


def candidate_of(plan: Plan) -> str | None:
    """The release this preview is about: what gets the traffic, else what is newly staged, else what is live."""
    live_after = plan.release_of(plan.live_after, after=True)
    if live_after is not None and live_after != champion_of(plan):
        return live_after
    staged = [slot.after for slot in plan.slots if slot.after is not None and slot.after != slot.before]
    return next((release for release in staged if release != live_after), live_after)


def champion_of(plan: Plan) -> str | None:
    """The release that has the traffic now; None when nothing is live yet."""
    return plan.release_of(plan.live_before, after=False)


def evidence_from(release: str, raw: bytes | None, problems: Sequence[str]) -> Evidence:
    """What a record says.

    Args:
        release: Its id.
        raw: Its bytes; None when there is no such record.
        problems: Everything that `ml.release.store` finds wrong with it.
    """
    if raw is None:
        return Evidence(release=release, problems=tuple(problems))
    try:
        record = parse(raw)
    except GateError:
        return Evidence(release=release, problems=tuple(problems), verdict="unreadable")
    gate = _mapping(record.get("gate"))
    checks = tuple(_check(_mapping(check)) for check in _list(gate.get("checks")))
    champion = _mapping(record.get("champion"))
    return Evidence(
        release=release,
        problems=tuple(problems),
        verdict=_words(gate.get("verdict")),
        facts=tuple(_facts(record)),
        champion=_words(champion["release"]) if "release" in champion else None,
        metrics=tuple(_rows(record, champion, checks)),
        checks=checks,
        drift=tuple(_drift(_mapping(_mapping(record.get("drift")).get("features")))),
        scans=tuple(_scans(_mapping(record.get("scans")))),
    )


def number(value: Any) -> str:
    """A value in a table: four significant digits for a fraction, thousands kept whole, anything else as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _words(value)
    if isinstance(value, int):
        return _integer(value)
    if not math.isfinite(value):
        return str(value)
    return f"{value:.4f}" if 0.001 <= abs(value) < 10_000 or value == 0 else f"{value:.3g}"


def _integer(value: int) -> str:
    # str() of an integer with more than 4,300 digits raises; a record may hold one.
    return f"{value:,}" if abs(value) < 10**15 else "a number beyond 10^15"


def _rows(record: Mapping[str, Any], champion: Mapping[str, Any], checks: Sequence[GateCheck]) -> Iterator[Row]:
    ours, theirs = _mapping(record.get("metrics")), _mapping(champion.get("metrics"))
    words = {line.metric: line for line in lines(record)}
    for metric in sorted({*ours, *theirs}):
        floors = [f"floor {check.limit}" for check in checks if (check.rule, check.name) == ("floor", metric)]
        drops = [check.limit for check in checks if (check.rule, check.name) == ("champion", metric)]
        yield Row(
            metric=metric,
            candidate=_finite(ours.get(metric)),
            champion=_finite(theirs.get(metric)),
            limits=(*floors, *_proven(words.get(metric), drops)),
        )


def _proven(line: Line | None, drops: Sequence[str]) -> Iterator[str]:
    """What the rows prove about a metric, or without a paired comparison the plain limit."""
    if line is not None and line.interval:
        yield f"95 % interval {line.interval}"
    if line is not None and line.proven:
        yield f"against the champion: {line.proven}"
    elif line is None or not line.difference:
        yield from (f"champion's, less the allowed drop: {limit}" for limit in drops)
    if line is not None and line.power:
        yield line.power


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _check(check: Mapping[str, Any]) -> GateCheck:
    return GateCheck(
        rule=_words(check.get("rule")),
        name=_words(check.get("name")),
        value=number(check.get("value")),
        limit=number(check.get("limit")),
        outcome=_words(check.get("outcome")),
        reason=_words(check.get("reason")),
    )


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    data, model = _mapping(record.get("data")), _mapping(record.get("model"))
    code = _mapping(record.get("code"))
    for label, period in (("trained on", _mapping(data.get("train"))), ("judged on", _mapping(data.get("test")))):
        span = f"{_words(period.get('from'))} to {_words(period.get('to'))}"
        yield label, f"{span}, {number(period.get('rows'))} rows"
    dropped = _mapping(data.get("dropped"))
    yield "dropped rows", ", ".join(f"{_words(why)}: {number(count)}" for why, count in dropped.items()) or "none"
    yield "data", _short(data.get("snapshot_sha256"))
    yield "code", f"{_short(code.get('commit'))}{' with uncommitted changes' if code.get('dirty') is True else ''}"
    yield "model", f"{number(model.get('bytes'))} bytes, parity to {number(model.get('parity_max_abs_diff'))}"
    yield "record", _short(record.get("digest"))
    yield "made", _words(record.get("created_at"))


def _drift(features: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The features that moved most, largest first."""
    order = sorted(features.items(), key=lambda item: -(_finite(_mapping(item[1]).get("d")) or 0.0))
    for name, raw in order[:_DRIFT_ROWS]:
        result = _mapping(raw)
        rows = f"{number(result.get('n_reference'))} / {number(result.get('n_current'))}"
        yield _words(name), _words(result.get("role")), number(result.get("d")), number(result.get("p")), rows
    if len(order) > _DRIFT_ROWS:
        yield f"and {len(order) - _DRIFT_ROWS} more with a smaller D", "", "", "", ""


def _scans(scans: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, raw in sorted(scans.items()):
        scan = _mapping(raw)
        covered = f"{number(scan.get('covered'))} of {number(scan.get('total'))}"
        tool = f"{_words(scan.get('tool'))} {_words(scan.get('version'))}"
        found = str(len(_list(scan.get("findings"))))
        yield _words(name), _words(scan.get("verdict")), covered, found, tool, _words(scan.get("reason"))


def _short(digest: Any) -> str:
    return digest[:12] if isinstance(digest, str) else _words(digest)


def _words(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, bool) else type(value).__name__


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
