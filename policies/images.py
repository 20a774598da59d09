"""Every container runs an image by digest, so what was proven is what runs.

A tag can be moved to another image. Whatever makes pods is covered, in all three lists of containers, patches too.
"""

import json
import os
import re
from collections.abc import Mapping
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
)

from infra.names import DIGEST_PATTERN, PROJECT
from policies.reading import UNKNOWN, containers, dig, pods

_DIGEST: Final = re.compile(DIGEST_PATTERN)


def violations(resource_type: str, props: Any, *, may_be_unknown: bool) -> list[str]:
    """Why a resource's images are refused; empty when they are not.

    Args:
        resource_type: Such as `kubernetes:apps/v1:Deployment`.
        props: Its inputs.
        may_be_unknown: Whether an image that is not known yet is let through.
    """
    found: list[str] = []
    for pod in pods(resource_type, props):
        each, wrong = containers(pod)
        found += wrong
        for container in each:
            image = dig(container.value, "image")
            if image is UNKNOWN and may_be_unknown:
                continue
            if not isinstance(image, str) or _DIGEST.fullmatch(image) is None:
                found.append(f"{container.where}.image: got {image!r}; must be NAME@sha256: and 64 hex digits")
    return found


def image_may_be_unknown(environ: Mapping[str, str]) -> bool:
    """Whether an image can rightly be unknown now.

    Only in a preview, of a stack that builds: the image's digest is then the result of a build that comes first in
    the update, where this rule sees the real value. Nothing is unknown in an update.
    """
    if environ.get("PULUMI_DRY_RUN", "true") != "true":
        return False
    config = json.loads(environ.get("PULUMI_CONFIG") or "{}")
    return str(config.get(f"{PROJECT}:build", "true")) == "true"


def check(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Report every image that is not pinned."""
    for message in violations(args.resource_type, args.props, may_be_unknown=image_may_be_unknown(os.environ)):
        report(message, None)


POLICY: Final = ResourceValidationPolicy(
    name="images-by-digest",
    description="Containers run images pinned by digest.",
    validate=check,
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.CRITICAL,
    remediation_steps="Use the repo_digest of a docker.Image, or give NAME@sha256:DIGEST in ml-pipeline:images.",
    url="docs/policies.md#images-by-digest",
)
