"""Writes into the ledger of a stack that the earlier release has the traffic again, from within the cluster."""

import json
from collections.abc import Mapping
from typing import Any, Final

from infra.names import RECORD_ANNOTATION, RECORD_DIGEST_ANNOTATION, Slot, slot_name
from ml.errors import GateError
from ml.release.ledger import Entry, Live
from ml.stack.entries import add
from ml.stack.objects import Objects, annotations_of

WHO: Final = "analysis"


def note(found: Objects, stack: str, slot: Slot, now: str) -> Entry | None:
    """Add the entry that says what the slot's Deployment runs; None if the ledger says so already and is empty.

    Raises:
        GateError: The ledger was changed, or the Deployment carries no record.
        TransientError: Others kept writing at the same time.
    """
    return add(found, stack, _live(found.one("deployment", slot_name(slot)) or {}, slot), now)


def _live(deployment: Mapping[str, Any], slot: Slot) -> Live:
    annotations = annotations_of(deployment)
    try:
        record = json.loads(annotations[RECORD_ANNOTATION])
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        return Live(
            release=str(record["release"]),
            record_digest=str(annotations[RECORD_DIGEST_ANNOTATION]),
            made=str(record["created_at"]),
            image=str(image),
            slot=slot,
            who=WHO,
            commit=None,
        )
    except (KeyError, ValueError, IndexError, TypeError) as error:
        message = f"deployment {slot_name(slot)}: carries no release record that can be read: {error!r}"
        raise GateError("ML-LIVE-005", message, "mlp release publish --stack STACK") from error
