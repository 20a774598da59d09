"""The content hash of a table: what a snapshot is named by, and what a release record pins.

It is taken column by column, each in chunks that are read one at a time, so that a file that does not fit into memory
has the same hash as the table it holds, however either is cut.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Chunks = Callable[[], Iterable["pd.Series[Any]"]]
"""The values of one column, in order; each call begins anew. At least one chunk, which may be empty, tells its type."""

_CELL_BYTES = 8


def snapshot_sha256(table: pd.DataFrame) -> str:
    """Content hash of a table: values, column names and row order, whatever file or integer width they came in."""
    return chunked_sha256({str(name): partial(_whole, table, name) for name in table.columns}, len(table))


def chunked_sha256(columns: Mapping[str, Chunks], rows: int) -> str:
    """The same of columns that are read in chunks; memory is a chunk, and the distinct values of a column of texts.

    Args:
        columns: By name, each of `rows` values in all.
        rows: Of the table.
    """
    digest = hashlib.sha256()

    def take(part: bytes) -> None:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)

    for name in sorted(columns):
        take(name.encode())
        head, cells = _encoding(columns[name])
        for part in head:
            take(part)
        digest.update((rows * _CELL_BYTES).to_bytes(8, "little"))
        for chunk in columns[name]():
            digest.update(cells(chunk).tobytes())
    return digest.hexdigest()


def _whole(table: pd.DataFrame, name: str) -> Iterable["pd.Series[Any]"]:
    return (table[name],)


def _encoding(chunks: Chunks) -> tuple[list[bytes], Callable[["pd.Series[Any]"], NDArray[Any]]]:
    """What comes before the cells (the kind; of texts also their distinct values), and how a chunk becomes cells."""
    kinds, values = set[str](), set[Any]()
    for chunk in chunks():
        kinds.add(_kind(chunk))
        if "text" in kinds:
            values.update(chunk.dropna().unique())
    if kinds <= {"time"}:
        return [b"time"], _times
    if kinds <= {"number"}:
        return [b"number"], _numbers
    values = values if len(kinds) == 1 else {value for chunk in chunks() for value in chunk.dropna().unique()}
    distinct = pd.factorize(np.array([*values, None], dtype=object)[:-1], sort=True)[1]
    index = pd.Index(distinct, dtype=object)
    head = [b"text", *(str(value).encode() for value in distinct)]
    return head, lambda chunk: index.get_indexer(pd.Index(chunk, dtype=object)).astype("<i8")


def _kind(column: "pd.Series[Any]") -> str:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "time"
    return "number" if pd.api.types.is_numeric_dtype(column.dtype) else "text"


def _times(column: "pd.Series[Any]") -> NDArray[Any]:
    return column.astype("datetime64[ns]").astype("int64").to_numpy().astype("<i8")


def _numbers(column: "pd.Series[Any]") -> NDArray[Any]:
    numbers = column.to_numpy(dtype="<f8", na_value=np.nan)
    return np.where(np.isnan(numbers), np.nan, numbers + 0.0)  # one NaN, one zero
