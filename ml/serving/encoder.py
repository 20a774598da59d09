"""Request rows to float32 columns: `encode_rows` for what it accepts, at the speed of one C call.

A row type is built from the features once; msgspec then checks types, missing values and ranges while it decodes.
Whatever it refuses is given to `encode_rows`, which words the refusal. The tests prove both give the same columns.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ml.data.schema import UNKNOWN_CATEGORY, Feature, RowError, encode_rows

FLOAT32_MAX = float(np.finfo(np.float32).max)

RowTuple = tuple[Any, ...]


class Encoder:
    """Checks and encodes rows of one release.

    `row_type` decodes a row given as a list, `object_type` one keyed by feature name; both hand over the same tuple
    through `values`.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = tuple(features)
        types = [_value_type(feature) for feature in features]
        self.row_type: Any = tuple[tuple(types)]  # type: ignore[misc]  # built from the release
        self.object_type = _object_type(features, types)
        self.any_row: Any = self.row_type | self.object_type
        self._lookups = tuple(
            (column, {category: float(code) for code, category in enumerate(feature.categories)}.get)
            for column, feature in enumerate(features)
            if feature.kind == "category"
        )

    def values(self, rows: Sequence[Any]) -> list[RowTuple]:
        """Decoded rows of either type as tuples in the order of the features."""
        astuple = msgspec.structs.astuple
        return [row if type(row) is tuple else astuple(row) for row in rows]

    def check(self, rows: Sequence[object]) -> list[RowTuple]:
        """Check plain rows (lists or objects of JSON values).

        Raises:
            RowError: At the first value that breaks the schema.
        """
        try:
            return self.convert(rows)
        except (msgspec.ValidationError, OverflowError) as error:
            raise RowError(self.reason(rows) or str(error)) from error

    def convert(self, rows: Sequence[object]) -> list[RowTuple]:
        """`check` without the words.

        Raises:
            msgspec.ValidationError: When a row breaks the schema.
            OverflowError: When an integer does not fit a float at all.
        """
        return self.values(msgspec.convert(rows, list[self.any_row]))  # type: ignore[name-defined]

    def reason(self, rows: Sequence[Any]) -> str | None:
        """Why `encode_rows` refuses the rows; None when it does not."""
        for index, row in enumerate(rows):
            try:
                with np.errstate(over="ignore"):  # the next rule says it better than numpy's warning
                    encoded = encode_rows(self.features, [row])
            except RowError as error:
                return str(error).replace("row 0", f"row {index}", 1)
            except OverflowError:
                return _too_large(self.features, row, index)
            if np.isinf(encoded).any():
                return _too_large(self.features, row, index)
        return None

    def array(self, rows: Sequence[RowTuple]) -> NDArray[np.float32]:
        """Checked rows as columns, (n_rows, n_features); a missing number becomes NaN."""
        if not rows:
            return np.empty((0, len(self.features)), dtype=np.float32)
        if self._lookups:
            return np.array([self._coded(row) for row in rows], dtype=np.float32)
        return np.array(rows, dtype=np.float32)

    def _coded(self, row: RowTuple) -> list[Any]:
        values = list(row)
        for column, code in self._lookups:
            values[column] = code(values[column], UNKNOWN_CATEGORY)
        return values


def _value_type(feature: Feature) -> Any:
    if feature.kind == "category":
        return str | None
    low = -FLOAT32_MAX if feature.minimum is None else max(feature.minimum, -FLOAT32_MAX)
    high = FLOAT32_MAX if feature.maximum is None else min(feature.maximum, FLOAT32_MAX)
    number = Annotated[float, msgspec.Meta(ge=float(low), le=float(high))]
    return number | None if feature.nullable else number


def _object_type(features: Sequence[Feature], types: Sequence[Any]) -> type[msgspec.Struct]:
    fields: list[Any] = []
    names: dict[str, str] = {}
    for index, (feature, value_type) in enumerate(zip(features, types, strict=True)):
        field = f"f{index}"
        names[field] = feature.name
        optional = feature.nullable or feature.kind == "category"
        fields.append((field, value_type, None) if optional else (field, value_type))
    return msgspec.defstruct("RowObject", fields, rename=names, kw_only=True, forbid_unknown_fields=True)


def _too_large(features: Sequence[Feature], row: Any, index: int) -> str:
    values: Callable[[int, str], object] = (
        (lambda _, name: row.get(name)) if isinstance(row, Mapping) else (lambda column, _: row[column])
    )
    for column, feature in enumerate(features):
        value = values(column, feature.name)
        if isinstance(value, int | float) and abs(value) > FLOAT32_MAX:
            return f"row {index}: {feature.name}={value!r}: must fit a 32-bit float (at most {FLOAT32_MAX:.6g})"
    return f"row {index}: a value does not fit a 32-bit float"
