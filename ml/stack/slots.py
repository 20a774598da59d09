"""What a stack's slots hold, and how staging, promotion and rollback change that. Pure.

A slot with an image digest is never built again. Nothing here ever replaces what takes traffic: a new release goes
into the idle slot, and only `live` moves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from infra.names import SLOTS, Slot
from ml.errors import ConfigError, GateError


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What one slot holds; `image` by digest, None where the stack builds it."""

    release: str
    image: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """The part of a stack's configuration that says which release runs where."""

    slots: Mapping[Slot, Held] = field(default_factory=dict)
    live: Slot = "blue"
    images: Mapping[str, str] = field(default_factory=dict)
    weight: int = 0
    """Percent of a route's requests that go to the idle slot; see `infra.canary_settings`."""

    @property
    def live_held(self) -> Held | None:
        """What takes traffic by configuration; None in a stack without releases."""
        return self.slots.get(self.live)


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """What the cluster says: the slot that the live Service selects, and what each slot's Deployment runs."""

    live: Slot | None
    slots: Mapping[Slot, Held] = field(default_factory=dict)


def other(slot: Slot) -> Slot:
    """The slot that is not this one."""
    return SLOTS[1] if slot == SLOTS[0] else SLOTS[0]


def stage(state: State, held: Held, running: Running | None, *, take_traffic: bool) -> State:
    """Put a release into the idle slot and, if asked, make that slot live.

    What a route sent to the idle slot ends: that was another release, or becomes the switch.
    The image that the live slot runs is written down beside it, if the cluster tells, so that it is not built again.
    A release that is live already changes nothing. In a stack without releases the first one is always live.

    Raises:
        GateError: If the idle slot still takes traffic in the cluster, because an earlier switch was not applied.
    """
    live = state.live_held
    if live is not None and live.release == held.release and held.image in (None, live.image):
        return state
    target = other(state.live) if live is not None else state.live
    in_slot = running.slots.get(target) if running is not None else None
    same = in_slot is not None and in_slot.release == held.release and held.image in (None, in_slot.image)
    if running is not None and running.live == target and not same:
        message = (
            f"slot {target} takes the traffic in the cluster (release {in_slot.release if in_slot else 'unknown'}) "
            f"although the configuration says {state.live}: it must not be overwritten"
        )
        raise GateError("ML-REL-010", message, "apply the configuration first: pulumi up")
    slots = dict(state.slots)
    if live is not None:
        slots[state.live] = pinned(live, running.slots.get(state.live) if running is not None else None)
    there = slots.get(target)
    # The same release without a new image: keep the digest that the slot has.
    slots[target] = there if there is not None and there.release == held.release and held.image is None else held
    moves = take_traffic or live is None
    return replace(state, slots=slots, live=target if moves else state.live, weight=0)


def pinned(held: Held, runs: Held | None) -> Held:
    """What the slot holds, with the digest that the cluster runs for the same release where none is written down."""
    if held.image is None and runs is not None and runs.release == held.release:
        return replace(held, image=runs.image)
    return held


def roll_back(state: State, running: Running | None) -> State:
    """Make the other slot live, with the image it ran; a route sends nothing to what was live.

    Raises:
        ConfigError: If there is no other release, or nobody knows which image it ran.
    """
    target = other(state.live)
    held = state.slots.get(target)
    if held is None:
        message = f"slot {target} is empty: there is no earlier release to go back to"
        raise ConfigError("ML-REL-011", message, "mlp release stage ID with a release that was good, then pulumi up")
    held = pinned(held, running.slots.get(target) if running is not None else None)
    if held.image is None:
        message = f"slot {target} holds {held.release} without an image digest, and the cluster does not tell it"
        raise ConfigError("ML-REL-012", message, f"start the cluster, or mlp release stage {held.release}")
    return replace(state, slots={**state.slots, target: held}, live=target, weight=0)
