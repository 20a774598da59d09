"""Reads CSV and Parquet by chunks, as rows of plain values with their numbers in the file.

Bounded memory: one chunk at a time. A CSV line with a wrong number of fields becomes a rejected row, never a failure
of the file.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from ml.data.schema import Feature
from ml.data.texts import number, trimmed
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
    """Some rows of the file. `rows`, `numbers` and each column of `kept` have the same length."""

    numbers: Sequence[int]
    rows: Sequence[tuple[Any, ...]]
    kept: pa.RecordBatch
    dead: Sequence[DeadRow] = field(default=())


class Source(Protocol):
    """An opened input. `total` is None where the format does not say it beforehand."""

    total: int | None
    kept_schema: pa.Schema

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order."""
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

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order."""
        names = list(dict.fromkeys([*(feature.name for feature in self._features), *self._keep]))
        start = 1
        with _readable(self._path), pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=names):
                columns = [_plain(batch.column(feature.name)) for feature in self._features]
                numbers = range(start, start + batch.num_rows)
                start += batch.num_rows
                yield Chunk(numbers=numbers, rows=list(zip(*columns, strict=True)), kept=batch.select(self._keep))


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

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order."""
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
                dead = [row for key, row in self._rejected.items() if key not in reported]
                reported.update(row.number for row in dead)
                yield Chunk(numbers=numbers, rows=self._rows(batch), kept=batch.select(self._keep), dead=dead)
        late = [row for key, row in self._rejected.items() if key not in reported]
        if late:
            nothing = pa.record_batch([pa.array([], field.type) for field in self.kept_schema], schema=self.kept_schema)
            yield Chunk(numbers=(), rows=(), kept=nothing, dead=late)

    def _rows(self, batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
        columns = [
            _numbers(batch.column(feature.name)) if feature.kind == "number" else batch.column(feature.name).to_pylist()
            for feature in self._features
        ]
        return list(zip(*columns, strict=True))

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


def _plain(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [None if value != value else value for value in values]  # noqa: PLR0124 - only NaN differs from itself
    return values


def _numbers(column: Any) -> list[Any]:
    """A text column as numbers; a text that is none stays as it is, for the encoder to refuse by name."""
    texts = trimmed(column)
    try:
        values: list[Any] = pc.cast(texts, pa.float64()).to_pylist()
    except pa.ArrowInvalid:
        return [number(text) for text in texts.to_pylist()]
    return values
