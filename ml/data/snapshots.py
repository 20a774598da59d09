"""Immutable snapshots: one Parquet file each, named by the hash of the rows in it, whatever wrote it and when.

The hash is that of `ml.data.digest`: it changes with any value, column or the order of the rows, and not with a
file's compression, an integer's width or the order of the columns. Reading one proves its content.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml.data.atomic import AtomicFile
from ml.data.digest import chunked_sha256, snapshot_sha256
from ml.errors import DataError

BATCH_ROWS = 50_000
_META = b"ml-pipeline"
_UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError)


def write(
    table: pd.DataFrame, folder: Path, *, source: str, ledger: Mapping[str, Any] | None = None
) -> tuple[str, Path]:
    """Keep a table.

    Args:
        table: Shape (n_rows, any); its index is not kept.
        folder: The store.
        source: Where the rows came from.
        ledger: Where the rows went that are not among them, as the record's `data.ledger`.

    Returns:
        The content hash, and the file. One that is there and intact is left as it is.

    Raises:
        DataError: If it cannot be written.
    """
    table = table.reset_index(drop=True)
    name = snapshot_sha256(table)
    path = folder / f"{name}.parquet"
    if _intact(path, name):
        return name, path
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    return write_batches(arrow.schema, arrow.to_batches(BATCH_ROWS), folder, source=source, ledger=ledger)


def write_batches(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    folder: Path,
    *,
    source: str,
    ledger: Mapping[str, Any] | None = None,
) -> tuple[str, Path]:
    """The same of a table that comes in batches, each of `schema`; memory is a batch and what `ml.data.digest` takes.

    Raises:
        DataError: If it cannot be written.
    """
    meta = json.dumps({"source": source, "ledger": ledger}, sort_keys=True).encode()
    schema = schema.with_metadata({**(schema.metadata or {}), _META: meta})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with AtomicFile(folder / "snapshot.parquet") as file:
            with pq.ParquetWriter(file.handle, schema, compression="zstd", write_page_checksum=True) as writer:
                for batch in batches:
                    writer.write_batch(batch.replace_schema_metadata(schema.metadata))
            file.handle.flush()
            name = _file_sha256(file.temporary)
            path = folder / f"{name}.parquet"
            if not _intact(path, name):
                file.temporary.chmod(0o444)
                file.commit(path)
    except OSError as error:
        fix = "give the folder space and rights, or move it with MLP_DATA_STORE"
        raise DataError("ML-DATA-013", f"{folder}: cannot be written: {error.strerror or error}", fix) from error
    return name, path


def load(name: str, folder: Path) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    """The rows of a snapshot, and `source` and `ledger` as they were written.

    Raises:
        DataError: `ML-DATA-012` if there is none of this hash, or its content is not the one of its name.
    """
    path = folder / f"{name}.parquet"
    fix = "`mlp data snapshot` makes it again from the same source"
    if not path.is_file():
        raise DataError("ML-DATA-012", f"snapshot {name}: there is none in {folder}", fix)
    try:
        table, meta = _rows(path)
        found = snapshot_sha256(table)
    except _UNREADABLE as error:
        raise DataError("ML-DATA-012", f"snapshot {name}: {path} is damaged: {error}", fix) from error
    if found != name:
        raise DataError("ML-DATA-012", f"snapshot {name}: {path} holds the rows of {found}", fix)
    return table, meta


def stored_sha256(name: str, folder: Path) -> str | None:
    """The hash of the rows that the store really holds under this name; None if it holds none that can be read."""
    try:
        return _file_sha256(folder / f"{name}.parquet")
    except _UNREADABLE:
        return None


def _rows(path: Path) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    arrow = pq.read_table(path, page_checksum_verification=True)
    return pd.DataFrame(arrow.to_pandas()), json.loads(arrow.schema.metadata[_META])


def _file_sha256(path: Path) -> str:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        columns = {name: partial(_chunks, file, name) for name in file.schema_arrow.names}
        return chunked_sha256(columns, file.metadata.num_rows)


def _chunks(file: pq.ParquetFile, name: str) -> Iterator["pd.Series[Any]"]:
    """One column of a file, batch by batch; an empty first one, which tells the type where there is no row."""
    yield file.schema_arrow.empty_table().select([name]).to_pandas()[name]
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=[name], use_threads=False):
        yield pa.Table.from_batches([batch]).to_pandas()[name]


def _intact(path: Path, name: str) -> bool:
    return path.is_file() and stored_sha256(name, path.parent) == name
