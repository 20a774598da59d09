"""Which rows belong to which shard, and what a run of shards is: pure values, the same in every worker.

Shard i of N is a contiguous range of row numbers; numbers are those of the whole file, from 1.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import msgspec

Format = Literal["parquet", "csv"]
FORMATS: tuple[Format, ...] = ("parquet", "csv")


def shard_rows(rows: int, shards: int) -> list[range]:
    """The row numbers of each shard: they tile 1..rows in order, and their lengths differ by at most one."""
    base, extra = divmod(rows, shards)
    starts = [1 + index * base + min(index, extra) for index in range(shards + 1)]
    return [range(first, end) for first, end in pairwise(starts)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """The files of one shard, below the run's folder.

    Receipts and dead letters stand in folders that begin with `_`, which readers of a folder of parts leave out.
    """

    index: int
    shards: int
    format: Format

    @property
    def stem(self) -> str:
        """Such as `part-00003-of-00008`; counts from 0, as Kubernetes does."""
        return f"part-{self.index:05d}-of-{self.shards:05d}"

    @property
    def part(self) -> str:
        """Its predictions."""
        return f"{self.stem}.{self.format}"

    @property
    def letters(self) -> str:
        """Its dead letters; not there when it has none."""
        return f"_dead/{self.stem}.jsonl"

    @property
    def receipt(self) -> str:
        """Written last of all."""
        return f"_receipts/{self.stem}.json"


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is: another file is another run. `kind` says of what `digest` is the SHA-256."""

    rows: int
    size: int
    kind: Literal["file", "parquet footer"]
    digest: str


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what the parts hold."""

    release: str
    record: str
    """Digest of the release's record."""
    input: Input
    shards: int
    format: Format
    keep: tuple[str, ...]

    def __str__(self) -> str:
        """The run in one line, for a person who compares two of them."""
        read = f"{self.input.rows} rows, {self.input.size} bytes, {self.input.kind} {self.input.digest[:12]}"
        kept = ",".join(self.keep) or "none"
        return f"{self.release} {self.record[:12]} on {read}; {self.shards} shards, {self.format}, kept {kept}"


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a shard has done; `predicted + dead == last - first + 1`."""

    fingerprint: Fingerprint
    shard: int
    first: int
    last: int
    """One before `first` for a shard without rows."""
    predicted: int
    dead: int
    sha256: str
    """Of the part."""
    letters_sha256: str | None
    seconds: float

    @property
    def rows(self) -> range:
        """The row numbers it answers for."""
        return range(self.first, self.last + 1)
