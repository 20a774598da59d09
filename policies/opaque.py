"""No resource that makes objects which these policies never see.

A Helm release is one resource for the engine; its pods, Services and images reach the cluster unread. Charts that are
rendered into resources of their own are fine: each of those is seen.
"""

from typing import Final

from pulumi_policy import (
    EnforcementLevel,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
)

OPAQUE: Final = ("kubernetes:helm.sh/v3:Release",)


def violations(resource_type: str) -> list[str]:
    """Why a type of resource is refused; empty when it is not."""
    if resource_type in OPAQUE:
        return [f"{resource_type}: hides what it makes from every other policy; must be resources of their own"]
    return []


def check(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Report a resource that hides others."""
    for message in violations(args.resource_type):
        report(message, None)


POLICY: Final = ResourceValidationPolicy(
    name="nothing-opaque",
    description="Every object is a resource that the policies see.",
    validate=check,
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.HIGH,
    remediation_steps="Write the objects as resources, or render the chart with kubernetes.helm.v4.Chart.",
    url="docs/policies.md#nothing-opaque",
)
