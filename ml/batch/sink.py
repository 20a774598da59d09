"""Writes predictions and dead letters so that a reader sees a whole file or the earlier one, never a half."""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ml.batch.source import DeadRow
from ml.errors import DataError


class AtomicFile:
    """A file that gets its name only on `commit`; leaving the context without it removes what was written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            self.handle = self.temporary.open("xb")
        except OSError as error:
            raise DataError("ML-BATCH-005", f"{path}: cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.handle.close()
        with suppress(FileNotFoundError):
            self.temporary.unlink()

    def commit(self) -> None:
        """Make the content durable, then visible under its name."""
        self.handle.flush()
        os.fsync(self.handle.fileno())
        self.handle.close()
        self.temporary.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class Predictions:
    """The output table, CSV or Parquet by the ending of its name; counts what it wrote."""

    def __init__(self, file: AtomicFile, schema: pa.Schema) -> None:
        self.rows = 0
        self._schema = schema
        parquet = file.path.suffix == ".parquet"
        self._writer: Any = (
            pq.ParquetWriter(file.handle, schema) if parquet else pyarrow.csv.CSVWriter(file.handle, schema)
        )

    def write(self, columns: list[Any]) -> None:
        """Append rows, given as columns in the order of the schema."""
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        batch = pa.record_batch(arrays, schema=self._schema)
        self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def close(self) -> None:
        """Write what the format needs at its end; does nothing the second time."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


class DeadLetters:
    """One JSON object a line for each row that was not predicted; counts them."""

    def __init__(self, file: AtomicFile) -> None:
        self.rows = 0
        self._file = file

    def write(self, row: DeadRow) -> None:
        """Append a row."""
        line = {"row": row.number, "reason": row.reason, "values": row.values}
        self._file.handle.write(msgspec.json.encode(line, enc_hook=str) + b"\n")
        self.rows += 1
