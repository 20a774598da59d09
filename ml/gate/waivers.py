"""Waivers: what a person answers for, until a day. Pure.

A waiver names the rule and what it is about, its owner, the reason and the last day on which it holds, and the stacks
that accept it (without `stacks`: all). It accepts only reasons in `WAIVABLE`: nobody can answer for a model that is
worse, or for numbers that belong to another one. Which stack asks is known to the Pulumi program alone, so the verdict
counts every waiver, and the program asks `ml.gate.accepted` whether its stack accepts them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ml.gate.check import Check
from ml.gate.reasons import WAIVABLE, Reason, outcome_of


def waive(checks: Iterable[Check], policy: Mapping[str, Any], created_at: object) -> Iterator[Check]:
    """The checks, with those passed that a valid waiver accepts."""
    for check in checks:
        accepted = check.reason in WAIVABLE and any(
            _covers(waiver, check.rule, check.name) and _holds(waiver, created_at)
            for waiver in policy.get("waivers", ())
        )
        yield replace(check, reason=Reason.WAIVED, outcome=outcome_of(Reason.WAIVED)) if accepted else check


def _covers(waiver: Mapping[str, Any], rule: object, name: object) -> bool:
    return bool(waiver.get("rule") == rule and waiver.get("of") == name)


def _holds(waiver: Mapping[str, Any], created_at: object) -> bool:
    """Dates compare as text: both are ISO 8601, and `expires` is the last day on which the waiver holds."""
    expires = waiver.get("expires")
    return isinstance(created_at, str) and isinstance(expires, str) and created_at[:10] <= expires
