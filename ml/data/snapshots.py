"""Immutable snapshots: one Parquet file each, named by the hash of the rows in it, whatever wrote it and when.

The hash is that of `ml.data.digest`: it changes with any value, column or the order of the rows, and not with a
file's compression, an integer's width or the order of the columns. Reading one proves its content.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml.data.atomic import AtomicFile
from ml.data.digest import snapshot_sha256
from ml.errors import DataError

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
    meta = json.dumps({"sha256": name, "source": source, "ledger": ledger}, sort_keys=True)
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _META: meta.encode()})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with AtomicFile(path) as file:
            pq.write_table(arrow, file.handle, compression="zstd", write_page_checksum=True)
            file.handle.flush()
            file.temporary.chmod(0o444)
            file.commit()
    except OSError as error:
        fix = "give the folder space and rights, or move it with MLP_DATA_STORE"
        raise DataError("ML-DATA-013", f"{path}: cannot be written: {error.strerror or error}", fix) from error
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
        return snapshot_sha256(_rows(folder / f"{name}.parquet")[0])
    except _UNREADABLE:
        return None


def _rows(path: Path) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    arrow = pq.read_table(path, page_checksum_verification=True)
    return pd.DataFrame(arrow.to_pandas()), json.loads(arrow.schema.metadata[_META])


def canonical(table: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """Rows in the order of some columns, then of all others: two files with the same rows give the same snapshot."""
    names = [*order, *(name for name in sorted(table.columns) if name not in order)]
    return table.sort_values(names, kind="stable", ignore_index=True)


def _intact(path: Path, name: str) -> bool:
    return path.is_file() and stored_sha256(name, path.parent) == name
