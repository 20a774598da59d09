"""What a stack's state says of the live Service: its slot there may be behind the cluster's. Pure.

The analysis, `mlp rollback` and a switch that could not be proven move the traffic without Pulumi.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.names import LIVE_SERVICE, SLOT_LABEL

SERVICE: Final = "kubernetes:core/v1:Service"


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """The live Service as the state has it."""

    urn: str
    namespace: str
    slot: str
    name: str = LIVE_SERVICE
    path: str = "jsonpath={.spec.selector." + SLOT_LABEL.replace(".", r"\.") + "}"
    """Where an object of the cluster says its slot, as kubectl takes it."""


def known_traffic(deployment: Mapping[str, Any]) -> Known | None:
    """The live Service of an exported state (`pulumi stack export`); None when there is none."""
    for one in deployment.get("resources") or []:
        outputs = one.get("outputs") or {}
        metadata = outputs.get("metadata") or {}
        if one.get("type") == SERVICE and metadata.get("name") == LIVE_SERVICE:
            selector = (outputs.get("spec") or {}).get("selector") or {}
            return Known(
                urn=str(one["urn"]), namespace=str(metadata.get("namespace")), slot=str(selector.get(SLOT_LABEL))
            )
    return None
