"""Traffic goes where a selector says, and a Service of the model selects exactly one slot.

An empty selector, or one without a slot, would send requests to both colours or to none, and Kubernetes calls that
ready. Endpoints made by hand would go around the selectors altogether.
"""

from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
)

from infra.names import LIVE_SERVICE, MODEL, NAME_LABEL, PREVIEW_SERVICE, SLOT_LABEL, SLOTS, slot_name
from policies.reading import UNKNOWN, dig, kubernetes, objects

MODEL_SERVICES: Final = (LIVE_SERVICE, PREVIEW_SERVICE, *(slot_name(slot) for slot in SLOTS))
BY_HAND: Final = ("Endpoints", "EndpointSlice")


def violations(resource_type: str, props: Any) -> list[str]:
    """Why a Service must not exist like this; empty for anything else."""
    found = kubernetes(resource_type)
    # `Endpoints` ends like a plural but is a kind of its own.
    if found is not None and found[0].kind in BY_HAND:
        return [f"{found[0].kind}: endpoints come from selectors; must not be made by hand"]
    return [
        f"{where}{message}"
        for kind, where, value in objects(resource_type, props, ("Service",))
        for message in _judge(value, patch=kind.patch)
    ]


def _judge(service: Any, *, patch: bool) -> list[str]:
    name, selector = dig(service, "metadata", "name"), dig(service, "spec", "selector")
    found = []
    external = dig(service, "spec", "externalIPs")
    if external not in (None, []):
        found.append(f"spec.externalIPs: got {external!r}; must be left out: they take over addresses of others")
    if patch and isinstance(service, dict) and selector is None and name is not UNKNOWN:
        return found  # a patch of something else than the selector
    if not isinstance(selector, dict) or not selector:
        return [*found, f"spec.selector: got {selector!r}; must name the pods"]
    unknown = [key for key, value in selector.items() if value is UNKNOWN]
    if unknown or name is UNKNOWN:
        return [*found, f"spec.selector: {', '.join(unknown) or 'the name'} is not known; must be known in the preview"]
    if NAME_LABEL not in selector:
        found.append(f"spec.selector: got {selector!r}; must have {NAME_LABEL}")
    if name in MODEL_SERVICES or selector.get(NAME_LABEL) == MODEL:
        found += _one_slot(str(name), selector)
    return found


def _one_slot(name: str, selector: dict[str, Any]) -> list[str]:
    found = []
    slot = selector.get(SLOT_LABEL)
    if selector.get(NAME_LABEL) != MODEL:
        found.append(f"spec.selector[{NAME_LABEL!r}]: got {selector.get(NAME_LABEL)!r}; must be {MODEL!r}")
    if slot not in SLOTS:
        found.append(f"spec.selector[{SLOT_LABEL!r}]: got {slot!r}; must be one of {', '.join(SLOTS)}")
    elif name in [slot_name(other) for other in SLOTS if other != slot]:
        found.append(f"spec.selector[{SLOT_LABEL!r}]: got {slot!r}; must be the slot in the name {name}")
    return found


def check(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Report every Service whose traffic could go elsewhere."""
    for message in violations(args.resource_type, args.props):
        report(message, None)


POLICY: Final = ResourceValidationPolicy(
    name="services-select-one-slot",
    description="Services select named pods; the model's select exactly one slot.",
    validate=check,
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.CRITICAL,
    remediation_steps="Select with infra.names.selector; move traffic with ml-pipeline:live.",
    url="docs/policies.md#services-select-one-slot",
)
