"""A chunk's cells by column, and their encoding for all rows at once.

The row encoder (`ml.serving.encoder`) alone decides what is refused and in which words. Here are only the rows that it
would take for sure, encoded as it would; every other row is left for it to judge.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml.data.schema import LARGEST, UNKNOWN_CATEGORY, Feature
from ml.data.texts import trimmed


@dataclass(frozen=True, slots=True)
class Column:
    """One feature's cells: `values`, null where a cell is missing, and by position the cells of another type (`odd`).

    `values` holds no NaN, and null at the positions of `odd`.
    """

    values: Any
    odd: Mapping[int, Any] = field(default_factory=dict)

    def cell(self, position: int) -> Any:
        """The plain value of a cell; None where it is missing."""
        return self.odd[position] if position in self.odd else self.values[position].as_py()


def from_table(column: Any) -> Column:
    """A typed column, as Parquet has it; NaN in a number's column counts as missing."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        return Column(pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column))
    if _is_text(column.type):
        return _readable(column)
    return Column(column)


def _readable(column: Any) -> Column:
    """Parquet does not promise that its texts are UTF-8: one that is not stays bytes, for the encoder to refuse."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        raw = column.cast(pa.large_binary()).to_pylist()
        texts = [None if cell is None else _text(cell) for cell in raw]
        odd = {position: cell for position, cell in enumerate(texts) if isinstance(cell, bytes)}
        return Column(pa.array([None if isinstance(cell, bytes) else cell for cell in texts], column.type), odd)
    return Column(column)


def _text(cell: bytes) -> str | bytes:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell


def from_texts(column: Any) -> Column:
    """A text column as numbers; a text that is none stays as it is, for the encoder to refuse by name."""
    odd: dict[int, Any] = {}
    values = pa.concat_arrays(list(_cast(trimmed(column), 0, odd)))
    for position in np.flatnonzero(_to_numpy(pc.fill_null(pc.is_nan(values), False))):
        odd[int(position)] = float("nan")
    if odd:
        values = pc.if_else(_mask(len(values), odd), pa.scalar(None, pa.float64()), values)
    return Column(values, odd)


def _cast(texts: Any, start: int, odd: dict[int, Any]) -> Iterator[Any]:
    """Numbers, in halves until a text that is none is alone: a few of them must not make the column slow."""
    try:
        yield pc.cast(texts, pa.float64())
    except pa.ArrowInvalid:
        if len(texts) == 1:
            odd[start] = texts[0].as_py()
            yield pa.nulls(1, pa.float64())
            return
        half = len(texts) // 2
        yield from _cast(texts.slice(0, half), start, odd)
        yield from _cast(texts.slice(half), start + half, odd)


def encode(
    features: Sequence[Feature], columns: Sequence[Column], rows: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Encode what the row encoder takes for sure.

    Returns:
        Encoded cells, (n_rows, n_features), and (n_rows,) where they hold; a row where they do not may still be right.
    """
    encoded = np.empty((rows, len(features)), dtype=np.float32)
    sure = np.ones(rows, dtype=np.bool_)
    for index, (feature, column) in enumerate(zip(features, columns, strict=True)):
        values, holds = (_category if feature.kind == "category" else _number)(feature, column)
        encoded[:, index] = values
        sure &= holds
        sure[list(column.odd)] = False
    return encoded, sure


def _number(feature: Feature, column: Column) -> tuple[Any, Any]:
    if not _is_number(column.values.type):
        return np.nan, False
    numbers = _to_numpy(pc.cast(column.values, pa.float64(), safe=False))
    low = -LARGEST if feature.minimum is None else max(feature.minimum, -LARGEST)
    high = LARGEST if feature.maximum is None else min(feature.maximum, LARGEST)
    holds = (numbers >= low) & (numbers <= high)
    if feature.nullable:
        holds |= np.isnan(numbers)
    return np.where(holds, numbers, np.nan), holds


def _category(feature: Feature, column: Column) -> tuple[Any, Any]:
    if pa.types.is_null(column.values.type):
        return UNKNOWN_CATEGORY, True
    if not _is_text(column.values.type):
        return UNKNOWN_CATEGORY, False
    codes = {category: float(code) for code, category in enumerate(feature.categories)}
    known = pc.index_in(column.values, value_set=pa.array(list(codes), column.values.type))
    return np.array([*codes.values(), UNKNOWN_CATEGORY])[_to_numpy(pc.fill_null(known, len(codes)))], True


def _is_number(kind: Any) -> bool:
    # float16 is left out: arrow has no arithmetic for it everywhere
    return bool(
        pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    )


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _mask(rows: int, positions: Mapping[int, Any]) -> Any:
    mask = np.zeros(rows, dtype=np.bool_)
    mask[list(positions)] = True
    return pa.array(mask)


def _to_numpy(values: Any) -> NDArray[Any]:
    found: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return found
