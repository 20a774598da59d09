"""Which slot is live, which is idle, and what the Services point at. Pure; the decision stands in configuration."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.names import Slot
from infra.settings import SlotSettings


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


def plan(slots: Mapping[Slot, SlotSettings], live: Slot) -> Plan | None:
    """The plan for what the slots hold; None while they hold nothing: then there is no Service that could be wrong.

    Raises:
        ValueError: `live` holds no release; `infra.settings` has refused that before.
    """
    if not slots:
        return None
    if live not in slots:
        raise ValueError(f"live={live!r} holds no release")
    return Plan(live=live, idle=next((slot for slot in slots if slot != live), None))
