"""Reads CSV and Parquet by chunks, as columns of cells with the rows' numbers in the file.

Bounded memory: one chunk at a time. A CSV line with a wrong number of fields becomes a rejected row, never a failure
of the file.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ml.batch.columns import Column, from_table, from_texts
from ml.data.schema import Feature
from ml.errors import DataError

CHUNK_ROWS = 10_000
CSV_BLOCK_BYTES = 2 * 1024 * 1024
FORMATS = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadRow:
    """A row that cannot be predicted: its number in the file (the first row of data is 1), why, and what it held."""

    number: int
    reason: str
    values: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Some rows of the file. `numbers`, each of `columns` (one a feature) and of `kept` have the same length."""

    numbers: Sequence[int]
    columns: Sequence[Column]
    kept: pa.RecordBatch
    dead: Sequence[DeadRow] = field(default=())

    def row(self, position: int) -> tuple[Any, ...]:
        """One row's cells as plain values."""
        return tuple(column.cell(position) for column in self.columns)


class Source(Protocol):
    """An opened input. `total` is None where the format does not say it beforehand."""

    total: int | None
    kept_schema: pa.Schema

    def chunks(self, wanted: range | None = None) -> Iterator[Chunk]:
        """The rows of these numbers, or all of them, in order."""
        ...

    def count(self) -> int:
        """How many rows the file has; where the format does not say it, the file is read for it."""
        ...


def open_source(path: Path, features: Sequence[Feature], keep: Sequence[str]) -> Source:
    """Open a file by its ending.

    Raises:
        DataError: `ML-BATCH-001` it cannot be read, `ML-BATCH-002` a column is missing or there twice.
    """
    if not path.name.endswith(FORMATS):
        raise DataError("ML-BATCH-001", f"{path}: must end in {', '.join(FORMATS)}")
    if not path.is_file():
        raise DataError("ML-BATCH-001", f"{path}: no such file")
    with _readable(path):
        return ParquetSource(path, features, keep) if path.suffix == ".parquet" else CsvSource(path, features, keep)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError("ML-BATCH-001", f"{path}: {error}") from error


class ParquetSource:
    """A Parquet file; NaN in a number's column counts as missing."""

    def __init__(self, path: Path, features: Sequence[Feature], keep: Sequence[str]) -> None:
        self._path = path
        self._features = features
        self._keep = keep
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            _check_columns(path, schema.names, features, keep)
            self.total: int | None = file.metadata.num_rows
        self.kept_schema = pa.schema([schema.field(name) for name in keep])

    def count(self) -> int:
        """See `Source`."""
        return self.total or 0

    def chunks(self, wanted: range | None = None) -> Iterator[Chunk]:
        """See `Source`. Row groups without a wanted row are not read."""
        names = list(dict.fromkeys([*(feature.name for feature in self._features), *self._keep]))
        with _readable(self._path), pq.ParquetFile(self._path) as file:
            groups, start = _groups(file.metadata, wanted)
            for batch in file.iter_batches(batch_size=CHUNK_ROWS, row_groups=groups, columns=names):
                numbers = range(start, start + batch.num_rows)
                start = numbers.stop
                part = _overlap(numbers, wanted)
                if part:
                    yield self._chunk(batch.slice(part.start - numbers.start, len(part)), part)

    def _chunk(self, batch: pa.RecordBatch, numbers: range) -> Chunk:
        columns = [from_table(batch.column(feature.name)) for feature in self._features]
        return Chunk(numbers=numbers, columns=columns, kept=batch.select(self._keep))


def _groups(metadata: Any, wanted: range | None) -> tuple[list[int], int]:
    """Row groups that hold a wanted row, and the number of the first row in them."""
    found: list[int] = []
    first = start = 1
    for index in range(metadata.num_row_groups):
        numbers = range(start, start + metadata.row_group(index).num_rows)
        if _overlap(numbers, wanted):
            first = first if found else start
            found.append(index)
        start = numbers.stop
    return found, first


def _overlap(numbers: range, wanted: range | None) -> range:
    """The numbers that are wanted."""
    if wanted is None:
        return numbers
    return range(max(numbers.start, wanted.start), min(numbers.stop, wanted.stop))


class CsvSource:
    """A CSV file with a header, UTF-8, comma separated."""

    def __init__(self, path: Path, features: Sequence[Feature], keep: Sequence[str]) -> None:
        self._path = path
        self._features = features
        self._keep = keep
        self._rejected: dict[int, DeadRow] = {}
        with self._open(None) as reader:
            _check_columns(path, reader.schema.names, features, keep)
        self.total: int | None = None
        self.kept_schema = pa.schema([pa.field(name, pa.string()) for name in keep])

    def count(self) -> int:
        """See `Source`."""
        self._rejected.clear()
        with _readable(self._path), self._open([self._features[0].name]) as reader:
            lines = sum(int(batch.num_rows) for batch in reader)
        return lines + len(self._rejected)

    def chunks(self, wanted: range | None = None) -> Iterator[Chunk]:
        """See `Source`. What comes before the wanted rows is read and skipped."""
        self._rejected.clear()
        reported: set[int] = set()
        number = 0
        names = [*(feature.name for feature in self._features), *self._keep]
        with _readable(self._path), self._open(names) as reader:
            for batch in reader:
                numbers = []
                for _ in range(batch.num_rows):
                    number += 1
                    while number in self._rejected:
                        number += 1
                    numbers.append(number)
                yield from self._chunks(batch, numbers, self._dead(reported, wanted), wanted)
                if wanted is not None and number >= wanted.stop - 1:
                    break
        late = self._dead(reported, wanted)
        if late:
            nothing = pa.record_batch([pa.array([], field.type) for field in self.kept_schema], schema=self.kept_schema)
            yield Chunk(numbers=(), columns=(), kept=nothing, dead=late)

    def _dead(self, reported: set[int], wanted: range | None) -> list[DeadRow]:
        """Rejected lines that nobody was told of yet; arrow meets them a block before their neighbours."""
        found = [number for number in self._rejected if number not in reported]
        reported.update(found)
        return [self._rejected[number] for number in found if wanted is None or number in wanted]

    def _chunks(
        self, batch: pa.RecordBatch, numbers: list[int], dead: list[DeadRow], wanted: range | None
    ) -> Iterator[Chunk]:
        if wanted is not None:
            first, end = (bisect_left(numbers, number) for number in (wanted.start, wanted.stop))
            batch, numbers = batch.slice(first, end - first), numbers[first:end]
        if numbers or dead:
            yield Chunk(numbers=numbers, columns=self._columns(batch), kept=batch.select(self._keep), dead=dead)

    def _columns(self, batch: pa.RecordBatch) -> list[Column]:
        return [
            from_texts(batch.column(feature.name)) if feature.kind == "number" else Column(batch.column(feature.name))
            for feature in self._features
        ]

    def _open(self, columns: Sequence[str] | None) -> Any:
        wanted = None if columns is None else list(dict.fromkeys(columns))
        return pyarrow.csv.open_csv(
            self._path,
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=self._reject),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=wanted,
                column_types=None if wanted is None else dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
            ),
        )

    def _reject(self, row: Any) -> str:
        number = row.number - 1  # arrow counts the header as row 1
        reason = f"has {row.actual_columns} fields, the header has {row.expected_columns}"
        self._rejected[number] = DeadRow(number=number, reason=reason, values=row.text)
        return "skip"


def _check_columns(path: Path, found: Sequence[str], features: Sequence[Feature], keep: Sequence[str]) -> None:
    wanted = [*(feature.name for feature in features), *keep]
    missing = [name for name in wanted if name not in found]
    double = [name for name in wanted if found.count(name) > 1] if isinstance(found, list) else []
    if missing or double:
        text = [f"no column {', '.join(missing)}"] if missing else []
        text += [f"column {', '.join(double)} more than once"] if double else []
        raise DataError("ML-BATCH-002", f"{path}: {'; '.join(text)}", f"it has: {', '.join(found[:40])}")
