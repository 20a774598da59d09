"""The proof after the switch: a hook that runs right after the live Service was created or changed.

The provider would wait ten fixed seconds and then call a Service without pods ready. This asks what matters: that the
Service's endpoints are the ready pods of the slot and nobody else, and that those answer with the release's record.
What cannot be proven is taken back at once, and the update fails.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import pulumi

from infra.delivery.gates import ready_addresses, selected_slot, slices_of
from infra.names import LIVE_SERVICE, Slot, slot_name
from ml.delivery.traffic import give_back
from ml.errors import GateError, PipelineError
from ml.stack.objects import Objects

PATIENCE_S: Final = 30.0
STILL_S: Final = 90.0
"""For the endpoints to follow the selector. Controllers that lost the API server look again after up to a minute."""
PAUSE_S: Final = 0.1
ANSWERS: Final = 5
"""So many answers in a row must come from the release: the API server picks a pod of the Service for each."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the cluster shows after the switch."""

    live: Sequence[str]
    """Ready addresses behind the live Service."""
    slot: Sequence[str]
    """Ready addresses of the slot's own Service."""
    answers: Sequence[str | None]
    """The record digests that answered."""


def _is_still(seen: Seen) -> bool:
    """Whether the live Service has its earlier endpoints and nothing else: then no client knows of the switch."""
    return bool(seen.live) and not set(seen.live) & set(seen.slot)


def doubts(slot: Slot, seen: Seen, digest: str) -> list[str]:
    """What still speaks against the switch being complete; empty when it is proven."""
    found = []
    if not seen.live or list(seen.live) != list(seen.slot):
        found.append(
            f"service {LIVE_SERVICE} has the ready endpoints {list(seen.live)}; must be those of slot {slot}: "
            f"{list(seen.slot)}"
        )
    wrong = [answer for answer in seen.answers if answer != digest]
    if wrong or not seen.answers:
        found.append(f"service {LIVE_SERVICE} answers with record {wrong[0] if wrong else None!r}; must be {digest!r}")
    return found


@dataclass(frozen=True, kw_only=True)
class SwitchProof:
    """What the engine calls after it has created or changed the live Service."""

    objects: Objects
    digests: Mapping[Slot, str]
    patience_s: float = PATIENCE_S
    """From the moment on when the endpoints are no more those of the earlier slot."""
    still_s: float = STILL_S
    """In all."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = monotonic
    say: Callable[[str], None] = pulumi.log.info
    note: Callable[[], object] = lambda: None
    """Writes the switch into the release ledger."""

    async def __call__(self, args: pulumi.ResourceHookArgs) -> None:
        """Return once the switch is proven.

        Raises:
            GateError: It is not, within the patience; says whether the earlier slot has the traffic again.
        """
        slot = selected_slot(args.new_inputs)
        before = selected_slot(args.old_inputs) if args.old_inputs else None
        began = moved = self.clock()
        while found := doubts(slot, seen := await asyncio.to_thread(self._look, slot), self.digests[slot]):
            now = self.clock()
            moved = now if _is_still(seen) else moved
            if now - moved >= self.patience_s or now - began >= self.still_s:
                undone = await asyncio.to_thread(self._undo, before, slot)
                message = f"the switch to slot {slot} is not proven after {now - began:.0f} s; {undone}: "
                raise GateError("ML-GATE-210", message + "; ".join(found), "pulumi up --refresh")
            await self.sleep(PAUSE_S)
        self.say(f"slot {slot} has the traffic, proven {self.clock() - began:.2f} s after the switch")
        await asyncio.to_thread(self._write_down)

    def _write_down(self) -> None:
        try:
            self.note()
        except PipelineError as error:
            # The traffic has moved and that is proven: what is missing can be added, and failing would say otherwise.
            self.say(f"the release ledger does not say so yet: {error}; mlp release publish adds it")

    def _look(self, slot: Slot) -> Seen:
        live, own = (ready_addresses(slices_of(self.objects, name)) for name in (LIVE_SERVICE, slot_name(slot)))
        answers: list[str | None] = []
        # As long as the endpoints are not right, what answers says nothing.
        while live == own and len(answers) < ANSWERS and set(answers) <= {self.digests[slot]}:
            answers.append(_digest(self.objects.ask(LIVE_SERVICE, "ready")))
        return Seen(live=live, slot=own, answers=answers)

    def _undo(self, before: Slot | None, slot: Slot) -> str:
        if before is None or before == slot:
            return "there is no earlier slot to go back to"
        try:
            give_back(self.objects, before, None)
        except PipelineError as error:
            return f"and it could not be undone ({error.message})"
        return f"slot {before} has the traffic again"


def switch_proof_hook(proof: SwitchProof) -> pulumi.ResourceHook:
    """The proof as a hook for the live Service's `after_create` and `after_update`."""

    async def after(args: pulumi.ResourceHookArgs) -> None:
        """Prove that the slot has the traffic."""
        await proof(args)

    return pulumi.ResourceHook("live-slot-answers", after)


def _digest(ready: Mapping[str, Any] | None) -> str | None:
    found = (ready or {}).get("digest")
    return None if found is None else str(found)
