"""Writes predictions and dead letters so that a reader sees a whole file or the earlier one, never a half."""

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ml.batch.source import DeadRow
from ml.data.atomic import AtomicFile


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
