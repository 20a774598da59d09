"""The dead-letter store: rejected rows with their causes, for as long as nobody has corrected or fetched them.

One JSON-lines file at a time, `letters-<generation>-<sha256>.jsonl`, named by its content: a change writes the next
generation and then removes the earlier one, so that a process killed anywhere leaves the old or the new state. A lock
keeps two processes apart. Above the size cap the letters that were last seen longest ago are dropped, and counted.
"""

import fcntl
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ml.data import atomic
from ml.errors import DataError

MAX_MIB = 64.0
MAX_VALUE_BYTES = 64 * 1024  # of one row; a longer one keeps its causes and loses its cells
MAX_ATTEMPTS = 5
METRICS = "metrics.prom"
_FORMAT = 1
T = TypeVar("T")


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One rejected row.

    Attributes:
        id: Of source, row and cells: the same row rejected again is the same letter.
        source: Where it came from.
        row: Its number there; the first is 1.
        causes: Every reason code, sorted.
        attempts: How often it was checked and rejected.
        first_seen: UTC time of the first rejection.
        last_seen: UTC time of the latest.
        cells: Its cells by column, or for a ragged line `line`; None if they were too long to keep.
        raw: Whether the cells are those of the file; otherwise they have the contract's types already.
        zone: Of the file's times without an offset, if not the contract's.
    """

    id: str
    source: str
    row: int
    causes: tuple[str, ...]
    attempts: int
    first_seen: str
    last_seen: str
    cells: dict[str, Any] | None
    raw: bool = False
    zone: str | None = None

    @property
    def permanent(self) -> bool:
        """Rejected so often that only a correction by hand will help; a replay passes it over."""
        return self.attempts >= MAX_ATTEMPTS


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of the file: what left the store, ever."""

    format: int = _FORMAT
    dropped: int = 0
    resolved: int = 0


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything in the store at one moment."""

    counts: Counts
    letters: Mapping[str, Letter]


def letter(source: str, row: int, causes: Sequence[str], cells: Mapping[str, Any], now: str) -> Letter:
    """A row's first letter, of typed cells; `now` in UTC as `2013-07-01T12:00:00Z`."""
    encoded = msgspec.json.encode(cells, enc_hook=str, order="sorted")
    name = hashlib.sha256(b"\0".join([source.encode(), str(row).encode(), encoded])).hexdigest()
    return Letter(
        id=name,
        source=source,
        row=row,
        causes=tuple(sorted(causes)),
        attempts=1,
        first_seen=now,
        last_seen=now,
        cells=msgspec.json.decode(encoded) if len(encoded) <= MAX_VALUE_BYTES else None,
    )


class DeadLetters:
    """The store in one folder. Nothing is made before the first letter.

    Raises:
        DataError: `ML-DATA-011` if the store is damaged or cannot be written: evidence is never lost silently.
    """

    def __init__(self, folder: Path, *, max_mib: float = MAX_MIB) -> None:
        self.folder = folder
        self._cap = int(max_mib * 2**20)

    def read(self) -> Content:
        """What the store holds; empty where there is none."""
        try:
            return self._of_latest(_content) or Content(counts=Counts(), letters={})
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            fix = "move the file away to begin anew, and look into it by hand"
            raise DataError("ML-DATA-011", f"{self._latest()}: the dead letters are damaged: {error}", fix) from error

    def file(self) -> Path | None:
        """What holds the letters now; None where there is no store."""
        return self._latest()

    def size(self) -> int:
        """Bytes on disk; 0 where there is no store."""
        return self._of_latest(lambda path: path.stat().st_size) or 0

    def metrics(self) -> str:
        """What it holds, in the Prometheus text format; of an empty store the zeros."""
        return metrics(self.read(), self.size())

    def add(self, letters: Sequence[Letter], *, dropped: int = 0) -> None:
        """Keep these; one that is there already gains an attempt.

        Args:
            letters: What was rejected.
            dropped: How many more were rejected and not handed over.
        """
        if letters or dropped:
            self.change(lambda before: _added(before, letters, dropped))

    def change(self, decide: Callable[[Content], Content]) -> Content:
        """Replace the content by what `decide` makes of it, alone and in one step; returns what was kept."""
        with self._alone():
            before = self._latest()
            after = self._fitting(decide(self.read()))
            number = 1 if before is None else int(before.stem.split("-")[1]) + 1
            raw = _encoded(after)
            name = f"letters-{number:08d}-{hashlib.sha256(raw).hexdigest()}.jsonl"
            atomic.write(self.folder / name, raw)
            atomic.write(self.folder / METRICS, metrics(after, len(raw)).encode())
            for path in self._generations():
                if path.name != name:
                    path.unlink(missing_ok=True)
        return after

    def _generations(self) -> list[Path]:
        return sorted(self.folder.glob("letters-*.jsonl"))

    def _latest(self) -> Path | None:
        return max(self._generations(), default=None, key=lambda path: path.name)

    def _of_latest(self, ask: Callable[[Path], T]) -> T | None:
        """What the newest file answers; None without one. Its successor does, if a writer has just replaced it."""
        latest = self._latest()
        while latest is not None:
            try:
                return ask(latest)
            except FileNotFoundError:
                gone, latest = latest, self._latest()
                if latest == gone:
                    raise
        return None

    def _fitting(self, content: Content) -> Content:
        """Without the letters that were last seen longest ago, if all are too many."""
        sizes = {name: len(msgspec.json.encode(each)) + 1 for name, each in content.letters.items()}
        total = sum(sizes.values())
        gone: set[str] = set()
        for each in sorted(content.letters.values(), key=lambda each: (each.last_seen, each.source, each.row)):
            if total <= self._cap:
                break
            total -= sizes[each.id]
            gone.add(each.id)
        kept = {name: each for name, each in content.letters.items() if name not in gone}
        counts = msgspec.structs.replace(content.counts, dropped=content.counts.dropped + len(gone))
        return Content(counts=counts, letters=kept)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            message = f"{self.folder}: dead letters cannot be kept: {error.strerror or error}"
            fix = "give the folder space and rights, or move it with MLP_DATA_STORE; nothing was trained"
            raise DataError("ML-DATA-011", message, fix) from error


def _content(path: Path) -> Content:
    content = path.read_bytes()
    _check_name(path, content)
    head, *lines = content.splitlines()
    letters = [msgspec.json.decode(line, type=Letter) for line in lines]
    return Content(counts=msgspec.json.decode(head, type=Counts), letters={each.id: each for each in letters})


def _check_name(path: Path, content: bytes) -> None:
    if hashlib.sha256(content).hexdigest() != path.stem.rpartition("-")[2]:
        raise ValueError("its content is not the one of its name")


def _added(before: Content, letters: Sequence[Letter], dropped: int) -> Content:
    merged = dict(before.letters)
    for new in letters:
        old = merged.get(new.id)
        merged[new.id] = new if old is None else again(old, new.causes, new.last_seen)
    counts = msgspec.structs.replace(before.counts, dropped=before.counts.dropped + dropped)
    return Content(counts=counts, letters=merged)


def again(old: Letter, causes: Sequence[str], now: str) -> Letter:
    """The letter after one more attempt that failed."""
    return msgspec.structs.replace(old, causes=tuple(sorted(causes)), attempts=old.attempts + 1, last_seen=now)


def _encoded(content: Content) -> bytes:
    ordered = sorted(content.letters.values(), key=lambda each: (each.source, each.row, each.id))
    return b"\n".join([msgspec.json.encode(content.counts), *map(msgspec.json.encode, ordered)]) + b"\n"


def metrics(content: Content, size: int) -> str:
    """The store in the Prometheus text format, for a node exporter's textfile collector or a push."""
    causes = Counter(each.causes[0] if each.causes else "unknown" for each in content.letters.values())
    lines = [
        "# HELP ml_data_dead_letters Rejected rows in the store, by first cause.",
        "# TYPE ml_data_dead_letters gauge",
    ]
    lines += [f'ml_data_dead_letters{{cause="{_escaped(cause)}"}} {n}' for cause, n in sorted(causes.items())]
    permanent = sum(each.permanent for each in content.letters.values())
    for part, kind, words, value in (
        ("permanent", "gauge", "Letters that a replay passes over.", permanent),
        ("bytes", "gauge", "Size of the store.", size),
        ("dropped_total", "counter", "Letters that left because the store was full.", content.counts.dropped),
        ("resolved_total", "counter", "Letters that passed a replay.", content.counts.resolved),
    ):
        metric = f"ml_data_dead_letters_{part}"
        lines += [f"# HELP {metric} {words}", f"# TYPE {metric} {kind}", f"{metric} {value}"]
    return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
