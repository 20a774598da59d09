"""A slot that has the traffic keeps its release: another one goes into the idle slot, to be smoked, switched, watched.

A hook on the slot's Deployment. It asks the cluster, which knows who has the traffic also after a rollback that the
configuration does not know of yet. Only another record is refused: the same release on a rebuilt image rolls pod by
pod, each of which must answer its golden rows, and smoke and analysis are asked again.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.delivery.gates import unreadable
from infra.names import (
    LIVE_SERVICE,
    PREVIEW_SERVICE,
    RECORD_DIGEST_ANNOTATION,
    RELEASE_LABEL,
    ROUTE,
    Slot,
    slot_name,
)
from ml.delivery.traffic import selected
from ml.errors import GateError, SurroundingsError
from ml.stack.objects import Objects
from ml.stack.slots import other


@dataclass(frozen=True, kw_only=True)
class OccupiedSlotGate:
    """What the engine calls before it changes a slot's Deployment."""

    objects: Objects
    """The stack's namespace."""
    slot: Slot
    routed: bool = False
    """Whether a route may send a part of the traffic to the slot that the preview Service selects."""

    def check(self, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> None:
        """Return if the Deployment may be changed.

        Args:
            old: Its inputs as the state knows them; None while there is none.
            new: Its inputs to be.

        Raises:
            GateError: `ML-GATE-211` another release would replace the one that has the traffic, in place;
                `ML-GATE-204` the cluster cannot be asked who has it.
        """
        if not old or _record(old) == _record(new):
            return
        if selected(self._ask("service", LIVE_SERVICE)) == self.slot:
            message = (
                f"deployment {slot_name(self.slot)} has the traffic with {_words(old)}; {_words(new)} must not "
                "replace it in place: nobody would have called or watched it, and there would be no way back"
            )
            raise GateError("ML-GATE-211", message, _way_out(self.slot, _release(old), _release(new)))
        share = self._share()
        if share:
            message = (
                f"deployment {slot_name(self.slot)} has {share} % of the traffic with {_words(old)}, by httproute "
                f"{ROUTE}; {_words(new)} must not replace it in place: nobody would have called it before clients do"
            )
            raise GateError("ML-GATE-211", message, "first a commit with canary.weight: 0 and pulumi up, then this one")

    def _share(self) -> int:
        """What the route in the cluster sends to this slot, whatever configuration says by now."""
        if not self.routed or selected(self._ask("service", PREVIEW_SERVICE)) != self.slot:
            return 0
        rules = ((self._ask("httproute", ROUTE) or {}).get("spec") or {}).get("rules") or []
        backends = [backend for rule in rules for backend in rule.get("backendRefs") or []]
        # A weight that is not written down is 1 to Kubernetes.
        return max((int(one.get("weight", 1)) for one in backends if one.get("name") == PREVIEW_SERVICE), default=0)

    def _ask(self, kind: str, name: str) -> Mapping[str, Any] | None:
        try:
            return self.objects.one(kind, name)
        except SurroundingsError as error:
            raise unreadable(name, error) from error


def occupied_hook(gate: OccupiedSlotGate) -> pulumi.ResourceHook:
    """The gate as a hook for a Deployment's `before_update`."""

    async def before(args: pulumi.ResourceHookArgs) -> None:
        """Look who has the traffic, if the release changes."""
        await asyncio.to_thread(gate.check, args.old_inputs, args.new_inputs or {})

    return pulumi.ResourceHook(f"{gate.slot}-keeps-its-release", before)


def _way_out(slot: Slot, runs: str, wanted: str) -> str:
    """One that was made anew under its own id cannot be staged, since that is live by name, and not be published."""
    if runs == wanted:
        return "a release never changes: give the new one the next id (mlp release create), then stage that"
    return f"git checkout the stack file, then mlp release stage {wanted}: it goes into slot {other(slot)}"


def _record(inputs: Mapping[str, Any]) -> str:
    return str(((inputs.get("metadata") or {}).get("annotations") or {}).get(RECORD_DIGEST_ANNOTATION))


def _words(inputs: Mapping[str, Any]) -> str:
    return f"{_release(inputs)} (record {_record(inputs)[:12]})"


def _release(inputs: Mapping[str, Any]) -> str:
    return str(((inputs.get("metadata") or {}).get("labels") or {}).get(RELEASE_LABEL))
