"""Whether this stack accepts the waivers that its releases rest on: asked before anything is registered.

Of an image that the stack builds itself it is asked before that image comes into a slot. What it accepts is exported,
so that a waiver in production is seen by whoever reads the stack's outputs.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pulumi

from infra.names import Slot
from infra.release import Evidence
from infra.settings import Settings
from ml.errors import GateError
from ml.gate import accepted
from ml.release import images, store


def today() -> str:
    """The day on which somebody deploys, in UTC."""
    return datetime.now(tz=UTC).strftime("%Y-%m-%d")


def accepted_waivers(
    root: Path, evidence: Mapping[Slot, Evidence], settings: Settings, day: str
) -> dict[Slot, list[dict[str, str]]]:
    """What each slot's release rests on, as the stack's output `acceptedWaivers` tells it.

    Args:
        root: The checkout, which has `releases/` with the committed evidence of images.
        evidence: The releases of the slots, verified.
        settings: The stack's name and what it accepts itself.
        day: The day of the deployment.

    Raises:
        pulumi.RunError: If a release rests on a waiver that this stack does not accept today, naming them all.
    """
    stack, own = settings.stack, settings.accept_waivers
    records = {slot: json.loads(held.record) for slot, held in evidence.items()}
    also = {
        slot: images.unjudged(store.load(root, held.release), settings.slots[slot].image)
        for slot, held in evidence.items()
    }
    refused = {slot: accepted.refusals(record, stack, own, day, also[slot]) for slot, record in records.items()}
    problems = [
        f"\n- slot {slot}: " + accepted.refusal(evidence[slot].release, stack, found).replace("\n", "\n  ")
        for slot, found in refused.items()
        if found
    ]
    if problems:
        every = sorted({entry for found in refused.values() for entry in found})
        message = "nothing is deployed, because a release rests on a waiver" + "".join(problems)
        raise pulumi.RunError(str(_not_accepted(message, stack, every)))
    return {slot: accepted.rests_on(record, stack, own, day, also[slot]) for slot, record in records.items()}


def refuse_unaccepted(
    release: store.Release, evidence: images.ImageEvidence, stack: str, own: Sequence[accepted.Acceptance]
) -> None:
    """Ask of an image that was just built what is asked of committed evidence before anything is registered.

    Raises:
        GateError: If the image may run by a waiver only, which this stack does not accept on the day of the scan.
    """
    found = accepted.refusals(release.record, stack, own, evidence.scanned_at[:10], evidence.incomplete)
    if found:
        message = accepted.refusal(f"{release.id} with its image {evidence.image}", stack, found)
        raise _not_accepted(message, stack, found)


def _not_accepted(message: str, stack: str, found: Sequence[tuple[str, str]]) -> GateError:
    return GateError("ML-GATE-206", message, accepted.how_to_accept(stack, found))
