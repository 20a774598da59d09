"""What a slot's release rests on a waiver for must be accepted by this stack.

The program asks the same before it registers anything; this asks it of the Deployment that results, whoever wrote it.
The engine tells a pack the stack's name and its configuration.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
)

from infra.names import PROJECT, RECORD_ANNOTATION
from ml.errors import GateError
from ml.gate.accepted import KEY, acceptances, refusals
from ml.release.record import parse
from policies.reading import dig, pods


def violations(resource_type: str, props: Any, environ: Mapping[str, str], today: str) -> list[str]:
    """Why this stack does not accept a release; empty when it does, or the resource carries none.

    Args:
        resource_type: Such as `kubernetes:apps/v1:Deployment`.
        props: Its inputs.
        environ: What the engine tells the pack.
        today: The day of the deployment, as 2026-01-31.
    """
    found: list[str] = []
    for pod in pods(resource_type, props):
        raw = dig(pod.metadata, "annotations", RECORD_ANNOTATION)
        if not isinstance(raw, str):
            continue  # model-gate says whether there must be one
        try:
            record = parse(raw.encode("utf-8", "surrogatepass"))
        except GateError as error:
            found.append(f"release record: {error.code}: {error.message}")
            continue
        found += _unaccepted(record, environ, today)
    return found


def _unaccepted(record: Mapping[str, Any], environ: Mapping[str, str], today: str) -> list[str]:
    stack = environ.get("PULUMI_STACK", "")
    own = json.loads(environ.get("PULUMI_CONFIG") or "{}").get(f"{PROJECT}:{KEY}") or {}
    given = json.loads(own) if isinstance(own, str) else own
    accepted, faults = acceptances(given if isinstance(given, Mapping) else {})
    lines = [f"{PROJECT}:{KEY}.{fault.path}: must be {fault.rule}" for fault in faults]
    lines += [
        f"release {record.get('release')}, waiver of {about}: {why}"
        for about, why in refusals(record, stack, accepted, today)
    ]
    return lines


def check(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Report every waiver that this stack does not accept."""
    today = datetime.now(tz=UTC).strftime("%Y-%m-%d")
    for message in violations(args.resource_type, args.props, os.environ, today):
        report(message, None)


POLICY: Final = ResourceValidationPolicy(
    name="waivers-accepted",
    description="A slot's release rests on no waiver that its stack does not accept.",
    validate=check,
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.CRITICAL,
    remediation_steps="Make the release again where the scan can look, or accept it in ml-pipeline:acceptWaivers.",
    url="docs/policies.md#waivers-accepted",
)
