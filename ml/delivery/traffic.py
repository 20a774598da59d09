"""Gives the traffic back to the earlier slot, and writes on the live Service which release it was taken from.

One request does both, so that nobody ever sees the one without the other; run again, it changes nothing. Used by the
analysis Job, which acts by itself, and by `mlp rollback`, where a person does.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from infra.names import LIVE_SERVICE, ROLLED_BACK_ANNOTATION, SLOT_LABEL, Slot, slot_name
from ml.errors import GateError, TransientError
from ml.stack.objects import Objects, annotations_of, namespace_of, pointer

KEPT: Final = 20
_TRIES: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class RolledBack:
    """A release that lost the traffic; the gate of the switch refuses it from then on."""

    release: str
    record_digest: str
    at: str
    """UTC."""
    why: str


def rolled_back(service: Mapping[str, Any] | None) -> list[RolledBack]:
    """The releases that the live Service says were rolled back, the oldest first.

    Raises:
        GateError: If the annotation is not what we write: whoever edited it may have dropped a release.
    """
    annotations = annotations_of(service)
    try:
        return [RolledBack(**entry) for entry in json.loads(annotations.get(ROLLED_BACK_ANNOTATION, "[]"))]
    except (ValueError, TypeError) as error:
        message = f"service {LIVE_SERVICE}: annotation {ROLLED_BACK_ANNOTATION} cannot be read: {error}"
        fix = f"kubectl -n {namespace_of(service)} annotate service {LIVE_SERVICE} {ROLLED_BACK_ANNOTATION}-"
        raise GateError("ML-LIVE-002", message, fix) from error


def selected(service: Mapping[str, Any] | None) -> str | None:
    """The slot that the live Service selects."""
    selector = ((service or {}).get("spec") or {}).get("selector") or {}
    found = selector.get(SLOT_LABEL)
    return None if found is None else str(found)


def give_back(found: Objects, to: Slot, mark: RolledBack | None) -> bool:
    """Let the live Service select a slot.

    Args:
        found: The stack's namespace.
        to: The slot that gets the traffic.
        mark: The release that it is taken from, if that must not come back.

    Returns:
        Whether anything was changed.

    Raises:
        GateError: `ML-LIVE-001` the slot cannot take the traffic: no pod of it is ready.
        TransientError: `ML-LIVE-003` others kept changing the Service at the same time.
    """
    require_ready(found, to)
    for _ in range(_TRIES):
        service = found.one("service", LIVE_SERVICE)
        changes = _changes(service, to, mark)
        if service is None or not changes:
            return False
        version = service["metadata"]["resourceVersion"]
        guard = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        if found.patch("service", LIVE_SERVICE, [guard, *changes]):
            return True
    message = f"service {LIVE_SERVICE}: somebody else changed it {_TRIES} times in between"
    raise TransientError("ML-LIVE-003", message, "the same command again")


def _changes(service: Mapping[str, Any] | None, to: Slot, mark: RolledBack | None) -> Sequence[Mapping[str, Any]]:
    """The operations of a JSON patch that are still needed."""
    changes: list[Mapping[str, Any]] = []
    if selected(service) != to:
        changes.append({"op": "add", "path": f"/spec/selector/{pointer(SLOT_LABEL)}", "value": to})
    known = rolled_back(service)
    if mark is not None and mark.record_digest not in {entry.record_digest for entry in known}:
        value = json.dumps([asdict(entry) for entry in [*known, mark][-KEPT:]])
        if not annotations_of(service):
            changes.append({"op": "add", "path": "/metadata/annotations", "value": {}})
        changes.append(
            {"op": "add", "path": f"/metadata/annotations/{pointer(ROLLED_BACK_ANNOTATION)}", "value": value}
        )
    return changes


def require_ready(found: Objects, slot: Slot) -> None:
    """Refuse a slot that no pod would answer from.

    Raises:
        GateError: `ML-LIVE-001`.
    """
    deployment = found.one("deployment", slot_name(slot)) or {}
    ready = (deployment.get("status") or {}).get("readyReplicas") or 0
    if ready < 1:
        message = (
            f"slot {slot}: deployment {slot_name(slot)} has {ready} ready pods; must have at least 1 to take traffic"
        )
        fix = f"kubectl -n {namespace_of(deployment)} describe deployment {slot_name(slot)}"
        raise GateError("ML-LIVE-001", message, fix)
