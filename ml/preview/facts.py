"""What a preview is about: plain, frozen facts. Pure; no secret and no resource body ever gets in here.

`events` and `evidence` make them, `render` turns them into Markdown.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Operation = Literal["create", "update", "replace", "delete", "other"]
Level = Literal["mandatory", "advisory", "unchecked"]
Impact = Literal["traffic", "data", "release", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """One allow-listed field of a resource, before and after; None where it is absent."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One resource that would change. `paths` are names of properties, never their values."""

    operation: Operation
    kind: str
    name: str
    impact: Impact
    notes: tuple[Note, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a policy said about a resource. `unchecked`: the value is only known while applying, and is judged then."""

    policy: str
    level: Level
    resource: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One slot's release before and after; None where the slot is empty."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What `pulumi preview` would do, as its event log tells it."""

    changes: tuple[Change, ...] = ()
    unchanged: int = 0
    findings: tuple[Finding, ...] = ()
    packs: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    slots: tuple[Slot, ...] = ()
    state_read: bool = False
    """Whether the engine got as far as comparing a resource; without it nothing is known about what runs now."""
    live_before: str | None = None
    live_after: str | None = None

    def release_of(self, slot: str | None, *, after: bool) -> str | None:
        """The release in a slot, before or after the change."""
        found = (each.after if after else each.before for each in self.slots if each.name == slot)
        return next(found, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One metric of the candidate beside the champion's on the same test rows; None where there is none."""

    metric: str
    candidate: float | None
    champion: float | None
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class GateCheck:
    """One check of the gate, as text."""

    rule: str
    name: str
    value: str
    limit: str
    outcome: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What a release record says, as far as it can be read; `problems` says what is wrong with it."""

    release: str
    problems: tuple[str, ...] = ()
    verdict: str = "missing"
    facts: tuple[tuple[str, str], ...] = ()
    champion: str | None = None
    metrics: tuple[Row, ...] = ()
    checks: tuple[GateCheck, ...] = ()
    drift: tuple[tuple[str, ...], ...] = ()
    scans: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """Everything the comment shows."""

    stack: str
    exit_code: int
    plan: Plan
    candidate: Evidence | None = None

    def to_json(self) -> dict[str, Any]:
        """The facts for other tools; holds no more than the comment does."""
        return asdict(self)
