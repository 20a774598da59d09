"""The release ledger of a stack: which release was live when. Entries are only added, each with the last one's hash.

Pure: decides what the next entry is, whether the chain holds, and what was live at a time. Where entries are kept is
`ml.stack.ledger`'s.
"""

import bisect
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from ml.release.fields import ledger_flaws
from ml.release.record import Problem, canonical_bytes

SCHEMA: Final = "ml-pipeline/ledger/v1"
BEGIN: Final = "0" * 64
"""What the first entry has for the hash of the one before."""

Event = Literal["live", "rolled-back"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """What takes the traffic of a stack now, and who brought it there."""

    release: str
    record_digest: str
    made: str
    """The record's `created_at`."""
    image: str | None
    slot: str
    who: str
    commit: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of the ledger; `time` is UTC, when the entry was written, right after the switch."""

    seq: int
    time: str
    stack: str
    release: str
    record_digest: str
    made: str
    image: str | None
    slot: str
    event: str
    who: str
    commit: str | None
    previous: str

    def to_json(self) -> dict[str, Any]:
        """The entry as it is kept."""
        return {"schema": SCHEMA, **asdict(self)}

    @property
    def hash(self) -> str:
        """SHA-256 of the entry's canonical bytes, in hex: what the next one names."""
        return hashlib.sha256(canonical_bytes(self.to_json())).hexdigest()


def following(entries: Sequence[Entry], stack: str, live: Live, now: str) -> Entry | None:
    """The entry that says what is live; None when the last one says so already.

    Args:
        entries: The whole ledger, which `problems` finds nothing wrong with.
        stack: Whose ledger it is.
        live: What takes the traffic.
        now: UTC. A clock behind the last entry's time does not put the new one before it.
    """
    last = entries[-1] if entries else None
    if last is not None and (last.record_digest, last.image) == (live.record_digest, live.image):
        return None
    been = any(entry.record_digest == live.record_digest for entry in entries)
    back = last is not None and been and live.made < last.made
    return Entry(
        seq=len(entries) + 1,
        time=now if last is None else max(now, last.time),
        stack=stack,
        event="rolled-back" if back else "live",
        previous=BEGIN if last is None else last.hash,
        **asdict(live),
    )


def read(contents: Sequence[Mapping[str, Any]], stack: str) -> tuple[list[Entry], list[Problem]]:
    """The entries in what was kept, in any order, and everything that shows that somebody changed them.

    The chain shows an entry that was edited, taken out or put in. That the newest were cut off is seen only by whoever
    has kept the hash of the newest: `mlp release publish` prints it, and MLflow has it as a tag.
    """
    found = []
    entries = []
    for content in contents:
        flaws = ledger_flaws(content)
        found += [Problem(code="ML-REL-150", message=flaw.message) for flaw in flaws]
        if not flaws:
            entries.append(Entry(**{name: value for name, value in content.items() if name != "schema"}))
    entries.sort(key=lambda entry: entry.seq)
    return entries, [*found, *_breaks(entries, stack)]


def at(entries: Sequence[Entry], moment: str) -> Entry | None:
    """What was live at a time, UTC; None before the first entry."""
    index = bisect.bisect_right([entry.time for entry in entries], moment)
    return entries[index - 1] if index else None


def _breaks(entries: Sequence[Entry], stack: str) -> Iterator[Problem]:
    previous, time = BEGIN, ""
    for number, entry in enumerate(entries, start=1):
        reason = None
        if entry.seq != number:
            reason = f"is where number {number} should be"
        elif entry.previous != previous:
            reason = "names another hash than the entry before it has: one of the two was changed"
        elif entry.stack != stack:
            reason = f"is of stack {entry.stack!r}"
        elif entry.time < time:
            reason = f"is of {entry.time}, before the entry before it"
        if reason is not None:
            yield Problem(code="ML-REL-150", message=f"entry {entry.seq} of the ledger {reason}")
        previous, time = entry.hash, entry.time
