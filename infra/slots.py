"""Which slot is live, which is idle, and what the Services point at. Pure; the decision stands in configuration."""

from collections.abc import Collection
from dataclasses import dataclass

from infra.names import SLOTS, Slot


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where traffic goes."""

    live: Slot
    idle: Slot | None
    """The other slot, if it holds a release: it waits there for a switch or a rollback."""

    @property
    def preview(self) -> Slot:
        """What the preview Service shows: the release that does not take traffic yet, or else the live one."""
        return self.live if self.idle is None else self.idle


def plan(filled: Collection[Slot], live: Slot) -> Plan | None:
    """The plan for the slots that hold a release; None while none does: then no Service could be right.

    Raises:
        ValueError: `live` holds no release; `infra.settings` has refused that before.
    """
    if not filled:
        return None
    if live not in filled:
        raise ValueError(f"live={live!r} holds no release")
    return Plan(live=live, idle=next((slot for slot in SLOTS if slot in filled and slot != live), None))
