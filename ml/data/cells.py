"""From cells as a file holds them to a column of the contract's type, with a mark on each cell that is none.

Called by `ml.data.read` for files and by `ml.data.replay` for dead letters.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ml.data.contract import Contract
from ml.data.texts import number, trimmed
from ml.errors import DataError

_OFFSET = r"[T ]\d{2}:?\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)$"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One converted column: `converted`, and for bad cells the reason (`wrong_type`, ...), else an empty string."""

    converted: "pd.Series[Any]"
    reasons: "pd.Series[str]"


@dataclass(kw_only=True)
class Cells:
    """Converts the columns of one file; remembers whether its times had offsets.

    Attributes:
        contract: Says which type a column has, and in which zone times are.
        zone: Zone of the file's times without an offset, if it is not the contract's.
    """

    contract: Contract
    zone: str | None = None
    _aware: dict[str, bool] = field(default_factory=dict)

    def convert(self, name: str, cells: pa.Array) -> Column:
        """Convert a column, shape (n_rows,); its result is indexed from 0.

        Raises:
            DataError: If times with and without an offset are mixed, or have one that the contract does not allow.
        """
        kind = self._kind(name)
        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if kind == "time":
            return self._times(name, cells)
        if kind == "text":
            texts = pc.cast(cells, pa.string())
            empty = pc.equal(texts, "")
            return _whole(pc.if_else(empty, pa.scalar(None, pa.string()), texts).to_pandas().astype(str))
        numbers = _numbers(cells)
        return _integers(numbers) if kind == "integer" else numbers

    def _kind(self, name: str) -> str:
        column = self.contract.schema.columns.get(name)
        dtype = "str" if column is None else str(column.dtype)
        kinds = {"float": "number", "int": "integer", "datet": "time"}
        return next((kind for start, kind in kinds.items() if dtype.startswith(start)), "text")

    def _times(self, name: str, cells: pa.Array) -> Column:
        if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
            moments = pc.cast(cells, pa.timestamp("us", getattr(cells.type, "tz", None)), safe=False).to_pandas()
            given, aware = pc.is_valid(cells).to_pandas(), np.full(len(cells), moments.dt.tz is not None)
        else:
            texts = trimmed(pc.cast(cells, pa.string()))
            given = pc.is_valid(texts).to_pandas()
            aware = pc.fill_null(pc.match_substring_regex(texts, _OFFSET), False).to_numpy(zero_copy_only=False)
            self._one_kind(name, aware[given.to_numpy()])
            moments = pd.to_datetime(texts.to_pandas(), errors="coerce", format="ISO8601", utc=bool(aware.any()))
        self._one_kind(name, aware[given.to_numpy()])
        local, gone = self._local(moments)
        reasons = pd.Series("", index=local.index, dtype=object)
        reasons[given & moments.isna()] = "wrong_type"
        reasons[gone] = "no_such_time"
        return Column(converted=local.astype("datetime64[us]"), reasons=reasons)

    def _one_kind(self, name: str, aware: Any) -> None:
        """All times of a column have an offset, or none has."""
        kinds = {bool(kind) for kind in np.unique(aware)} | ({self._aware[name]} if name in self._aware else set())
        if len(kinds) > 1:
            message = f"column {name} mixes times with and without an offset, so no one can say when they were"
            raise DataError("ML-DATA-009", message, "write all of them with an offset, such as 2013-07-01T06:00-04:00")
        if True in kinds and self.contract.zone is None:
            message = f"the times of column {name} have an offset and the contract names no zone to convert them to"
            raise DataError("ML-DATA-009", message, "add zone to the contract, or write times without an offset")
        self._aware.update(dict.fromkeys([name] if kinds else [], True in kinds))

    def _local(self, moments: "pd.Series[Any]") -> "tuple[pd.Series[Any], pd.Series[bool]]":
        """Naive times in the contract's zone, and which of them no clock there ever showed."""
        zone = self.contract.zone
        if moments.dt.tz is not None:
            return moments.dt.tz_convert(zone).dt.tz_localize(None), pd.Series(False, index=moments.index)
        if zone is None:
            return moments, pd.Series(False, index=moments.index)
        # The hour that a clock shows twice is taken as the first: a day has one, at night.
        first = np.ones(len(moments), dtype=bool)
        told = moments.dt.tz_localize(self.zone or zone, ambiguous=first, nonexistent="NaT")
        return told.dt.tz_convert(zone).dt.tz_localize(None), told.isna() & moments.notna()


def _numbers(cells: pa.Array) -> Column:
    kind = cells.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return _whole(pc.cast(cells, pa.float64(), safe=False).to_pandas())
    texts = trimmed(pc.cast(cells, pa.string()))
    try:
        return _whole(pc.cast(texts, pa.float64()).to_pandas())
    except pa.ArrowInvalid:
        read = [number(text) for text in texts.to_pylist()]
        bad = [isinstance(value, str) for value in read]
        values = pd.Series([None if isinstance(value, str) else value for value in read], dtype=float)
        return Column(converted=values, reasons=pd.Series(np.where(bad, "wrong_type", ""), dtype=object))


def _integers(numbers: Column) -> Column:
    values, reasons = numbers.converted, numbers.reasons.copy()
    reasons[(reasons == "") & values.isna()] = "missing"
    reasons[(reasons == "") & (values.mod(1) != 0)] = "wrong_type"
    reasons[(reasons == "") & (values.abs() >= 2**53)] = "wrong_type"  # beyond it, floats skip integers
    return Column(converted=values.where(reasons == "", 0).astype("int64"), reasons=reasons)


def _whole(values: "pd.Series[Any]") -> Column:
    return Column(converted=values, reasons=pd.Series("", index=values.index, dtype=object))
