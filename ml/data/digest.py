"""The content hash of a table: what a snapshot is named by, and what a release record pins."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd


def snapshot_sha256(table: pd.DataFrame) -> str:
    """Content hash of a table: values, column names and row order, whatever file or integer width they came in."""
    digest = hashlib.sha256()
    for name in sorted(table.columns):
        for part in (str(name).encode(), *_column_bytes(table[name])):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return digest.hexdigest()


def _column_bytes(column: "pd.Series[Any]") -> Iterable[bytes]:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        yield b"time"
        yield column.astype("datetime64[ns]").astype("int64").to_numpy().astype("<i8").tobytes()
    elif pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.to_numpy(dtype="<f8", na_value=np.nan)
        yield b"number"
        yield np.where(np.isnan(numbers), np.nan, numbers + 0.0).tobytes()  # one NaN, one zero
    else:
        codes, values = pd.factorize(column, sort=True)
        yield b"text"
        yield from (str(value).encode() for value in values)
        yield codes.astype("<i8").tobytes()
