"""Accepted rows on disk until the whole table has passed, then all of them in one order, in bounded memory.

Called by `mlp data snapshot FILE`. The sort is DuckDB's, which writes to disk what does not fit.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml.data.contract import Contract
from ml.data.snapshots import BATCH_ROWS
from ml.errors import DataError

SORT_MIB = 256  # DuckDB's own limit; the process takes some 200 MiB more for Python and the batches


class Spill:
    """Rows of one table, as they come; `ordered` hands them back.

    Args:
        folder: On the disk that takes the rows; nothing is left there.
        contract: Proves each chunk once more, and converts it to the contract's types.
    """

    def __init__(self, folder: Path, contract: Contract) -> None:
        with _writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._folder = tempfile.TemporaryDirectory(dir=folder, prefix=".spill-")
        self._path = Path(self._folder.name) / "rows.parquet"
        self._contract = contract
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._folder.cleanup()

    @property
    def schema(self) -> pa.Schema:
        """Of the rows so far."""
        return pa.schema([]) if self._writer is None else self._writer.schema

    def add(self, rows: pd.DataFrame) -> None:
        """Put away some rows that the contract accepted, shape (n_rows, any).

        Raises:
            DataError: If the disk does not take them.
        """
        typed = self._contract.schema.validate(rows)
        table = pa.Table.from_pandas(typed, schema=self.schema if self._writer else None, preserve_index=False)
        with _writable(self._path.parent):
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._path, table.schema, compression="lz4")
            self._writer.write_table(table)
        self.rows += len(rows)

    def ordered(self, first: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows, by the columns `first`, then by all others; missing values last, texts by code point.

        Two files with the same rows give the same sequence. No row can be added afterwards.

        Raises:
            DataError: If the disk does not take what the sort puts there.
        """
        if not self.rows:
            return
        schema = self.schema
        self._close()
        names = [*first, *(name for name in sorted(schema.names) if name not in first)]
        order = ", ".join(f"{_quoted(name)} NULLS LAST" for name in names)
        limits: dict[str, str | int | float | list[str]] = {
            "memory_limit": f"{SORT_MIB}MiB",
            "threads": 1,
            "temp_directory": self._folder.name,
            "autoinstall_known_extensions": False,  # nothing is ever fetched
            "autoload_known_extensions": False,
        }
        with _writable(self._path.parent), duckdb.connect(config=limits) as connection:
            found = connection.sql(f"SELECT * FROM read_parquet(?) ORDER BY {order}", params=[str(self._path)])  # noqa: S608  (quoted names)
            for batch in found.to_arrow_reader(BATCH_ROWS):
                yield pa.Table.from_batches([batch]).cast(schema).combine_chunks().to_batches()[0]

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, duckdb.Error) as error:
        fix = "give the folder space and rights, or move it with MLP_DATA_STORE"
        raise DataError("ML-DATA-013", f"{folder}: rows cannot be put there: {error}", fix) from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
