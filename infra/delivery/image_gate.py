"""Between image and slot: what the image really holds is looked at before anything runs it.

A hook on the slot's Deployment, because a digest is only known once the image is built. A hook that raises stops the
step: the slot stays as it is, and no traffic can move to it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pulumi

from infra.settings import Settings
from infra.waivers import refuse_unaccepted
from ml.errors import GateError, PipelineError
from ml.gate.accepted import Acceptance
from ml.release import images, store
from ml.security.result import Scan

Look = Callable[[str], Mapping[str, Scan]]
"""Scans an image given by digest."""


@dataclass(frozen=True, kw_only=True)
class ImageGate:
    """What the engine calls before it creates or changes a slot's Deployment."""

    root: Path
    release: str
    builds: bool
    """Whether this stack builds the image; if not, the evidence is committed and was proven in the preview."""
    look: Look
    stack: str
    accepts: Sequence[Acceptance]
    """What this stack accepts by its own word."""

    def check(self, image: str) -> None:
        """Return if the image may run.

        Raises:
            GateError: It holds something that must not run, nobody could look, or it may run by a waiver that this
                stack does not accept.
        """
        release = store.load(self.root, self.release)
        if not self.builds:
            images.refuse_committed(release, image)
            return
        evidence = images.judged(release, image, self.look(image), datetime.now(tz=UTC))
        refuse_unaccepted(release, evidence, self.stack, self.accepts)


def image_hook(name: str, gate: ImageGate) -> pulumi.ResourceHook:
    """The gate as a hook for a Deployment's `before_create` and `before_update`."""

    async def before(args: pulumi.ResourceHookArgs) -> None:
        """Look into the image, unless the Deployment runs it already."""
        image = serving_image(args.new_inputs)
        if image != serving_image(args.old_inputs):
            await asyncio.to_thread(gate.check, image)

    return pulumi.ResourceHook(f"{name}-image-is-scanned", before)


def serving_image(inputs: Mapping[str, Any] | None) -> str:
    """The image of the first container in a Deployment's inputs; empty where there is none."""
    pod = (((inputs or {}).get("spec") or {}).get("template") or {}).get("spec") or {}
    containers = pod.get("containers") or [{}]
    return str(containers[0].get("image") or "")


def refuse_unproven_images(root: Path, settings: Settings) -> None:
    """In a stack that builds nothing, every slot's image must have its evidence in the repository: known in a preview.

    Raises:
        pulumi.RunError: Naming every slot whose image is refused.
    """
    if settings.build:
        return
    refused: list[str] = []
    for slot, held in settings.slots.items():
        try:
            images.refuse_committed(store.load(root, held.release), held.image or "")
        except PipelineError as error:
            refused.append(f"\n- slot {slot}: {error}".replace("\n  ", "\n    "))
    if refused:
        message = "nothing is deployed, because the evidence of an image is refused" + "".join(refused)
        raise pulumi.RunError(str(GateError("ML-GATE-205", message)))
