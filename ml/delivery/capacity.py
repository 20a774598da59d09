"""Makes the slot that gets the traffic as big as the one that loses it, and its autoscaler's minimum small again.

The idle slot stands at its minimum, whatever the live one has grown to. To patch the Deployment's scale is not enough:
the autoscaler's window (`behavior.scaleDown`) is over what it *recommended*, which for a slot without load is its
minimum, so its next look, within 15 s, begins to take the pods away again. So its minimum is raised, and goes back once
the autoscaler has seen the load for itself. When it was raised is written on the autoscaler: whoever comes next, after
whatever was killed, knows that this minimum is ours to put back. One that a person raised has no mark and stays.

Used by the gate of the switch and by `mlp rollback`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from infra.names import LIVE_SERVICE, RAISED_ANNOTATION, SLOT_LABEL, Slot, slot_name
from ml.delivery.sizes import Size, forbidden, needed, size_of, unplaced, wait_s
from ml.delivery.traffic import give_back, require_ready, selected
from ml.errors import GateError
from ml.stack.objects import Objects, annotations_of, pointer
from ml.stack.slots import other

AUTOSCALER: Final = "horizontalpodautoscaler"
PATIENCE_S: Final = 300.0
"""As long as a slot may take to come up: a new node takes minutes."""
FORBIDDEN_S: Final = 15.0
"""What a quota refuses for so long does not get better by waiting."""
HOLD_S: Final = 120.0
"""metrics-server looks every 15 to 60 s and tells of the time before, the autoscaler looks every 15 s."""
PAUSE_S: Final = 1.0
_MARK: Final = f"/metadata/annotations/{pointer(RAISED_ANNOTATION)}"


def _utc() -> datetime:
    return datetime.now(tz=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Goal:
    live: Slot
    target: Slot
    pods: int
    before: Size


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The sizes of a stack's two slots."""

    objects: Objects
    """The stack's namespace."""
    namespace: str
    fix: str
    """The next command of whoever is refused, once there is room."""
    say: Callable[[str], object]
    patience_s: float = PATIENCE_S
    required: bool = True
    """Whether a slot that stays too small gets no traffic; a rollback takes it all the same."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = monotonic
    now: Callable[[], datetime] = _utc

    async def match(self, live: Slot, target: Slot) -> None:
        """Return once the target has as many ready pods as serve in the live slot now.

        Where that is not required, return as well when the patience is over; the pods come when they can.

        Raises:
            GateError: `ML-GATE-212` it does not get them. It asks for as many as before then.
        """
        goal = await asyncio.to_thread(self._goal, live, target)
        if goal is None:
            return
        began, refused_at, said = self.clock(), None, -1
        while True:
            ready, refusal = await asyncio.to_thread(self._grow, goal)
            if ready >= goal.pods:
                break
            if ready != said:
                self.say(f"slot {target}: {ready} of {goal.pods} pods are ready, as many as slot {live} serves with")
                said = ready
            now = self.clock()
            if not refusal:
                refused_at = None
            elif refused_at is None:
                refused_at = now
            if now - began >= self.patience_s or (refused_at is not None and now - refused_at >= FORBIDDEN_S):
                shown = f"{ready} pods are ready after {now - began:.0f} s"
                if not self.required:
                    self.say(f"slot {target}: {shown}, of {goal.pods}; it gets the traffic all the same")
                    return
                raise await asyncio.to_thread(self._give_up, goal, shown, refusal)
            await self.sleep(PAUSE_S)
        if await asyncio.to_thread(self._mark_again, goal):
            self.say(
                f"slot {target}: {ready} pods are ready; its autoscaler keeps {goal.pods} until it has seen the load"
            )

    def put_back(self, slot: Slot, least: int) -> float | None:
        """Give a slot's autoscaler its configured minimum back, if it was raised here and the load has shown.

        Returns:
            None when there is nothing left to do, else the seconds until there is.
        """
        found = self.objects.one(AUTOSCALER, slot_name(slot))
        left = None if found is None else wait_s(found, self.now(), HOLD_S)
        if found is None or left is None or left > 0:
            return left
        # Not when it was raised again in between.
        guard = {"op": "test", "path": _MARK, "value": annotations_of(found)[RAISED_ANNOTATION]}
        self.objects.patch(AUTOSCALER, slot_name(slot), [guard, _least(least), {"op": "remove", "path": _MARK}])
        self.say(f"slot {slot}: its autoscaler may go down to {least} pods again")
        return None

    async def put_back_in_time(self, slot: Slot, least: int) -> None:
        """The same, after what is left of the time."""
        left = await asyncio.to_thread(self.put_back, slot, least)
        if left is not None:
            self.say(f"slot {slot}: its autoscaler gets its minimum back in {left:.0f} s, when it has seen the load")
            await self.sleep(left)
            await asyncio.to_thread(self.put_back, slot, least)

    def _goal(self, live: Slot, target: Slot) -> _Goal | None:
        now, before = self._size(live), self._size(target)
        # Without an autoscaler both have the configured number.
        pods = None if now is None or before is None else needed(now, before)
        if pods is None or before is None:
            return None
        return _Goal(live=live, target=target, pods=pods, before=before)

    def _size(self, slot: Slot) -> Size | None:
        name = slot_name(slot)
        deployment, autoscaler = self.objects.one("deployment", name), self.objects.one(AUTOSCALER, name)
        return None if deployment is None or autoscaler is None else size_of(deployment, autoscaler)

    def _grow(self, goal: _Goal) -> tuple[int, str]:
        """One look, after which as many pods are asked for: how many are ready, and why more are refused."""
        name = slot_name(goal.target)
        deployment, autoscaler = self.objects.one("deployment", name), self.objects.one(AUTOSCALER, name)
        if deployment is None or autoscaler is None:
            return 0, "it is gone"
        size = size_of(deployment, autoscaler)
        if size.least < goal.pods:
            self._raise(name, autoscaler, goal.pods)
        if size.asked < goal.pods:
            # The autoscaler would do it as well, at its next look.
            self.objects.patch("deployment", name, [_asked(goal.pods)])
        return size.ready, forbidden(deployment)

    def _raise(self, name: str, autoscaler: Mapping[str, Any], pods: int) -> None:
        """Raise the minimum, and write down that and when it was done, in one request."""
        there = [] if annotations_of(autoscaler) else [{"op": "add", "path": "/metadata/annotations", "value": {}}]
        self.objects.patch(AUTOSCALER, name, [*there, self._marked(), _least(pods)])

    def _mark_again(self, goal: _Goal) -> bool:
        """Of a minimum that was raised: its load may show from now on. Whether it was."""
        name = slot_name(goal.target)
        raised = RAISED_ANNOTATION in annotations_of(self.objects.one(AUTOSCALER, name))
        return raised and self.objects.patch(AUTOSCALER, name, [self._marked()])

    def _marked(self) -> Mapping[str, Any]:
        return {"op": "add", "path": _MARK, "value": self.now().isoformat(timespec="seconds")}

    def _give_up(self, goal: _Goal, shown: str, refusal: str) -> GateError:
        """Ask for as many pods as before; why there are too few. The mark stays, for the next update to look after."""
        name = slot_name(goal.target)
        reasons = [refusal, *unplaced(self.objects.every("pod"), {SLOT_LABEL: goal.target})]
        if self._size(goal.target) is not None:
            self.objects.patch(AUTOSCALER, name, [_least(goal.before.least)])
            self.objects.patch("deployment", name, [_asked(goal.before.asked)])
        why = "; ".join(one for one in reasons if one) or "its pods have nodes and are not ready"
        message = (
            f"deployment {name}: {shown}; must be the {goal.pods} that slot {goal.live} serves with, before slot "
            f"{goal.target} gets its traffic: {why}"
        )
        look = f"kubectl -n {self.namespace} describe quota,deployment/{name}"
        return GateError("ML-GATE-212", message, f"make room ({look}), then {self.fix}")


async def hand_back(sizes: Capacity, to: Slot, *, at_once: bool) -> bool:
    """Let the other slot have the traffic again.

    Args:
        sizes: Of the stack.
        to: That slot.
        at_once: Take it as small as it is.

    Returns:
        Whether the traffic moved.

    Raises:
        GateError: `ML-LIVE-001` the slot has no ready pod.
    """
    require_ready(sizes.objects, to)
    if not at_once and selected(sizes.objects.one("service", LIVE_SERVICE)) == other(to):
        await sizes.match(other(to), to)
    return give_back(sizes.objects, to, None)


def _least(pods: int) -> Mapping[str, Any]:
    return {"op": "replace", "path": "/spec/minReplicas", "value": pods}


def _asked(pods: int) -> Mapping[str, Any]:
    return {"op": "replace", "path": "/spec/replicas", "value": pods}
