"""The evidence of each slot's release, proven before the program registers anything.

Refuses by itself, whoever calls the program and with whatever flags; the policy pack asks the same question of the
Deployment that results.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from infra.names import MODEL_SHA256_ANNOTATION, RECORD_ANNOTATION, RECORD_DIGEST_ANNOTATION, SIGNATURE_ANNOTATION, Slot
from infra.settings import SlotSettings
from ml.errors import GateError, PipelineError
from ml.release.store import Release, verify
from ml.release.succession import champions, require


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A release that verified and passed, as it is written on what runs it."""

    release: str
    record: str
    """The record's text, byte for byte."""
    signature: str
    """The text of its signature's envelope."""
    digest: str
    model_sha256: str
    serving: str
    """The text of serving.json: the model's inputs and the distributions they had in training."""
    champions: tuple[str, ...] = ()
    """Digests of the records that it was judged against, the nearest first."""

    @property
    def pod_annotations(self) -> dict[str, str]:
        """What a pod carries: enough to see in the cluster which model it runs, and to roll it when that changes."""
        return {RECORD_DIGEST_ANNOTATION: self.digest, MODEL_SHA256_ANNOTATION: self.model_sha256}

    @property
    def annotations(self) -> dict[str, str]:
        """What the slot's Deployment carries: the whole record and its signature as well."""
        signed = {RECORD_ANNOTATION: self.record, SIGNATURE_ANNOTATION: self.signature}
        return {**self.pod_annotations, **signed}


def load_evidence(root: Path, slots: Mapping[Slot, SlotSettings], live: Slot) -> dict[Slot, Evidence]:
    """The evidence of every slot.

    Args:
        root: The checkout, which has `releases/`.
        slots: What each slot holds.
        live: The slot that takes the traffic; its release must have been judged against the other one, or the other
            way round (`ml.release.succession`).

    Raises:
        pulumi.RunError: Listing everything that is wrong with every slot. Nothing has been registered then, so
            nothing in the cluster changes.
    """
    releases: dict[Slot, Release] = {}
    refused: list[str] = []
    for slot, held in slots.items():
        try:
            releases[slot] = verify(root, held.release)
        except PipelineError as error:
            refused.append(f"slot {slot}: {error}".replace("\n", "\n  "))
    refused += _unlinked(root, releases, live)
    if refused:
        message = "nothing is deployed, because the evidence of a slot is refused" + "".join(
            f"\n- {problem}" for problem in refused
        )
        raise pulumi.RunError(str(GateError("ML-GATE-201", message)))
    return {slot: _evidence(root, release) for slot, release in releases.items()}


def _unlinked(root: Path, releases: Mapping[Slot, Release], live: Slot) -> list[str]:
    """Why the live slot's release may not take the traffic from the other slot's; asked of two that verify."""
    try:
        for slot, other in releases.items():
            if slot != live and live in releases:
                require(root, releases[live], other)
    except GateError as error:
        return [f"slot {live}: {error}".replace("\n", "\n  ")]
    return []


def _evidence(root: Path, release: Release) -> Evidence:
    return Evidence(
        release=release.id,
        record=release.raw.decode(),
        signature=(release.signature or b"").decode(),
        digest=release.digest,
        model_sha256=str(release.record["files"]["model.onnx"]),
        serving=(release.directory / "serving.json").read_text(encoding="utf-8"),
        champions=tuple(champions(root, release)),
    )
