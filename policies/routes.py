"""A route of the Gateway API sends clients to the live Service and, for the smaller part, to the preview Service.

Those two move through gates. A slot's own Service does not: a route to it would send clients to whatever is put into
the slot, before anybody has called it, and nothing would take them back.
"""

from collections.abc import Iterator
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
)

from infra.names import CANARY_MOST, LIVE_SERVICE, PREVIEW_SERVICE, SLOTS, slot_name
from policies.reading import UNKNOWN, dig, objects

KINDS: Final = ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute")
SLOT_SERVICES: Final = tuple(f"{slot_name(slot)}{suffix}" for slot in SLOTS for suffix in ("", "-pods"))


def violations(resource_type: str, props: Any) -> list[str]:
    """Why a route must not exist like this; empty for anything else."""
    return [
        f"{where}{message}"
        for _, where, value in objects(resource_type, props, KINDS)
        for message in (*_named(value), *_weighted(value))
    ]


def _named(route: Any) -> Iterator[str]:
    """Every Service that is named anywhere in the route, also by a filter that copies requests."""
    for where, backend in _backends(dig(route, "spec"), "spec"):
        name = dig(backend, "name")
        if not isinstance(name, str):
            yield f"{where}.name: got {name!r}; must be known, to tell where clients are sent"
        elif name in SLOT_SERVICES:
            must = f"{LIVE_SERVICE} or {PREVIEW_SERVICE}, which move through gates"
            yield f"{where}.name: got {name!r}; must be {must}"
        elif name == PREVIEW_SERVICE and where.endswith(".backendRef"):
            yield f"{where}.name: got {name!r}; must not be copied to by a route: use ml-pipeline:shadow"


def _backends(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if value is UNKNOWN:
        yield where, UNKNOWN
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _backends(item, f"{where}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            inside = f"{where}.{key}"
            if key == "backendRefs" and isinstance(item, list):
                yield from ((f"{inside}[{index}]", one) for index, one in enumerate(item))
            elif key == "backendRef":
                yield inside, item
            yield from _backends(item, inside) if key != "backendRef" else ()


def _weighted(route: Any) -> Iterator[str]:
    """Of each rule, the preview Service gets at most half, and never without the live one."""
    rules = dig(route, "spec", "rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        backends = dig(rule, "backendRefs")
        weights = {name: _weight(backends, name) for name in (LIVE_SERVICE, PREVIEW_SERVICE)}
        live, preview = weights.values()
        if live is None or preview is None:
            yield f"spec.rules[{index}].backendRefs: weights are not known; must be known in the preview"
        elif preview * 100 > CANARY_MOST * (live + preview):
            got = f"{live} for {LIVE_SERVICE} and {preview} for {PREVIEW_SERVICE}"
            yield f"spec.rules[{index}].backendRefs: got weights {got}; must be at most {CANARY_MOST} % for the latter"


def _weight(backends: Any, name: str) -> int | None:
    """The sum for one Service; one that is not written down is 1; None where one is no known number."""
    found = (
        [dig(one, "weight") for one in backends or [] if dig(one, "name") == name] if backends is not UNKNOWN else []
    )
    numbers = [1 if weight is None else weight for weight in found]
    if any(isinstance(number, bool) or not isinstance(number, int) or number < 0 for number in numbers):
        return None
    return sum(numbers)


def check(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Report every route that could send clients elsewhere."""
    for message in violations(args.resource_type, args.props):
        report(message, None)


POLICY: Final = ResourceValidationPolicy(
    name="routes-through-the-gates",
    description="Routes send clients to the live Service, and at most half of them to the preview Service.",
    validate=check,
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.CRITICAL,
    remediation_steps="Use ml-pipeline:canary, which makes the route; name the Services model and model-preview.",
    url="docs/policies.md#routes-through-the-gates",
)
