"""Whether a stack accepts what a release's verdict rests on. Pure, standard library only.

A waiver in the gate's policy lets a release pass; whether it may run in a stack is asked of each stack again. One that
names its stacks holds there and nowhere else. One that names none holds wherever nothing of value runs, so in no
production stack. A stack may accept a waiver itself, in its own file, with owner, reason and a day not far away; that
acceptance is exported, so nobody can hide it. What has expired holds nowhere: the day counts on which somebody deploys.

Asked by the Pulumi program, the policy pack, and `mlp promote` before it edits anything.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

KEY = "acceptWaivers"
"""The key of a stack's configuration."""
NOT_PRODUCTION = ("ci", "demo", "dev", "local", "preview", "qa", "sandbox", "staging", "test", "uat")
"""First word of the names of stacks that are not production; every other name is: a wrong guess refuses."""
MAX_DAYS = 92
"""Longest time for which a stack may accept a waiver, in days: a quarter, then somebody looks again."""
_RESTS = "waived"  # the reason of a check that passes because of a waiver only
_ABOUT = re.compile(r"(scan|drift)/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """A stack's own word on one waiver: `about` is rule and subject, such as scan/dependencies."""

    about: str
    owner: str
    reason: str
    expires: str

    def to_json(self) -> dict[str, str]:
        """The acceptance as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What is wrong with a stack's acceptances: at `path` below the key stands `got`, which breaks `rule`."""

    path: str
    got: Any
    rule: str
    example: str


def acceptances(value: Mapping[str, Any]) -> tuple[tuple[Acceptance, ...], list[Fault]]:
    """The acceptances in a stack's configuration: rule/subject -> owner, reason, expires; and everything wrong."""
    faults: list[Fault] = []
    found = [one for about in sorted(value) if (one := _acceptance(about, value[about], faults)) is not None]
    return tuple(found), faults


def waived(record: Mapping[str, Any]) -> list[str]:
    """What a record's verdict rests on a waiver for, as rule/subject; reads any JSON and never raises."""
    checks = _mapping(record.get("gate")).get("checks")
    rests = [check for check in map(_mapping, _list(checks)) if check.get("reason") == _RESTS]
    return sorted({f"{check.get('rule')}/{check.get('name')}" for check in rests})


def refusals(
    record: Mapping[str, Any], stack: str, accepted: Sequence[Acceptance], today: str, also: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """(rule/subject, why) for each waiver that this stack does not accept today; empty when the release may run.

    Args:
        record: The release's record.
        stack: The stack's name.
        accepted: What the stack accepts itself.
        today: The day of the deployment, as 2026-01-31.
        also: What the release's image rests on a waiver for, which the record cannot know.
    """
    found = []
    for about in sorted({*waived(record), *also}):
        if any(one.about == about and today <= one.expires <= _latest(today) for one in accepted):
            continue
        reasons = [_why_not(waiver, stack, today) for waiver in _waivers(record, about)]
        if reasons and not all(reasons):
            continue
        own = [f"the stack's own acceptance {_why_expired(one, today)}" for one in accepted if one.about == about]
        said = [reason for reason in reasons if reason is not None]
        found.append((about, "; ".join([*said, *own]) or "no waiver in its policy is about that"))
    return found


def refusal(release: str, stack: str, found: Sequence[tuple[str, str]]) -> str:
    """One message for all of a release's refusals."""
    listed = "".join(f"\n  - {about}: {why}" for about, why in found)
    return f"release {release}: its verdict rests on waivers that stack {stack!r} does not accept:{listed}"


def how_to_accept(stack: str, found: Sequence[tuple[str, str]]) -> str:
    """What to write, and where."""
    names = ", ".join(f"{about}: {{owner: NAME, reason: WHY, expires: '{_EXAMPLE}'}}" for about, _why in found)
    return (
        f"make the release again where the scan can look; or write into Pulumi.{stack}.yaml, for at most {MAX_DAYS} "
        f"days, 'ml-pipeline:{KEY}: {{{names}}}'; see docs/security.md"
    )


def rests_on(
    record: Mapping[str, Any], stack: str, accepted: Sequence[Acceptance], today: str, also: Sequence[str] = ()
) -> list[dict[str, str]]:
    """Every waiver that a release which may run rests on, and whose word it is: for the stack's output."""
    lines = []
    for about in sorted({*waived(record), *also}):
        for waiver in _waivers(record, about):
            if _why_not(waiver, stack, today) is None:
                words = {key: str(waiver.get(key)) for key in ("owner", "reason", "expires")}
                lines.append({"about": about, "by": "policy", **words})
        lines += [{"by": "stack", **one.to_json()} for one in accepted if one.about == about]
    return lines


def is_production(stack: str) -> bool:
    """Whether a waiver without stacks leaves this one out."""
    return stack.partition("-")[0] not in NOT_PRODUCTION


_EXAMPLE = "2026-12-31"
_TEXTS = {"owner": "who answers for it", "reason": "a sentence of at least 10 characters"}
_LEAST = {"owner": 2, "reason": 10}


def _acceptance(about: str, value: Any, faults: list[Fault]) -> Acceptance | None:
    before = len(faults)
    if _ABOUT.fullmatch(about) is None:
        rule = "a rule and what it is about, such as scan/dependencies"
        faults.append(Fault(path=about, got=about, rule=rule, example="scan/dependencies"))
    if not isinstance(value, Mapping):
        faults.append(Fault(path=about, got=value, rule="an object with owner, reason and expires", example="'{}'"))
        return None
    for key, rule in _TEXTS.items():
        got = value.get(key)
        if not isinstance(got, str) or len(got.strip()) < _LEAST[key]:
            faults.append(Fault(path=f"{about}.{key}", got=got, rule=rule, example=f"'{key.upper()}'"))
    expires = value.get("expires")
    if not isinstance(expires, str) or not _is_day(expires):
        rule = "a day in quotes, such as 2026-12-31"
        faults.append(Fault(path=f"{about}.expires", got=expires, rule=rule, example=f"'{_EXAMPLE}'"))
    for key in sorted(set(value) - {*_TEXTS, "expires"}):
        rule = "one of expires, owner, reason"
        faults.append(Fault(path=f"{about}.{key}", got=key, rule=rule, example="''"))
    if len(faults) > before:
        return None
    return Acceptance(about=about, owner=value["owner"], reason=value["reason"], expires=value["expires"])


def _waivers(record: Mapping[str, Any], about: str) -> Iterator[Mapping[str, Any]]:
    """The waivers of a record's policy about this."""
    policy = _mapping(_mapping(record.get("gate")).get("policy"))
    for waiver in map(_mapping, _list(policy.get("waivers"))):
        if f"{waiver.get('rule')}/{waiver.get('of')}" == about:
            yield waiver


def _why_not(waiver: Mapping[str, Any], stack: str, today: str) -> str | None:
    """Why a waiver of the policy does not hold in this stack today; None when it does."""
    expires, stacks = waiver.get("expires"), waiver.get("stacks")
    whose = f"the waiver of {waiver.get('owner')!r} until {expires!r}"
    if not isinstance(expires, str) or not _is_day(expires) or expires < today:
        return f"{whose} has expired"
    if stacks is None:
        return f"{whose} names no stacks, so it covers none in production" if is_production(stack) else None
    return None if stack in _list(stacks) else f"{whose} covers {', '.join(map(str, _list(stacks))) or 'no stack'}"


def _why_expired(one: Acceptance, today: str) -> str:
    late = one.expires > _latest(today)
    return f"until {one.expires!r} is for more than {MAX_DAYS} days" if late else f"has expired on {one.expires!r}"


def _latest(today: str) -> str:
    return (date.fromisoformat(today) + timedelta(days=MAX_DAYS)).isoformat()


def _is_day(text: str) -> bool:
    try:
        return _DATE.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
