"""What one request row looks like, and the one encoder that training and serving share.

Imports numpy only: the model server loads this module, so nothing heavier may come in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

UNKNOWN_CATEGORY = -1.0
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """One input of the model, as a client sends it.

    `minimum` and `maximum` are inclusive and in `unit`. A missing number becomes NaN and is only legal where
    `nullable`; a missing or unknown category becomes `UNKNOWN_CATEGORY`. `drift` says what a moved distribution
    means: `gate` may block a release, `watch` is reported only (weather and calendar move every month), `ignore`
    is not measured.
    """

    name: str
    kind: Literal["number", "category"]
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = False
    categories: tuple[str, ...] = ()
    drift: Literal["gate", "watch", "ignore"] = "gate"

    def to_json(self) -> dict[str, Any]:
        """The feature as plain JSON values; `from_json` reads it back."""
        return {**asdict(self), "categories": list(self.categories)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Feature":
        """Read what `to_json` wrote."""
        return cls(**{**value, "categories": tuple(value["categories"])})


class RowError(ValueError):
    """A request row that breaks the schema: says which row, which field, the value and the rule."""


Row = Sequence[object] | Mapping[str, object]


def encode_rows(features: Sequence[Feature], rows: Sequence[Row]) -> NDArray[np.float32]:
    """Encode request rows, checked against the schema.

    Args:
        features: The model's inputs, in the order of the result's columns.
        rows: Each a list in that order, or an object keyed by feature name.

    Returns:
        Array of shape (n_rows, n_features).

    Raises:
        RowError: At the first value that is missing, of the wrong type, not finite or out of range.
    """
    out = np.empty((len(rows), len(features)), dtype=np.float32)
    lookups = [_lookup(feature) for feature in features]
    for i, row in enumerate(rows):
        values = _in_order(features, row, i)
        for j, feature in enumerate(features):
            out[i, j] = _encode_value(feature, lookups[j], values[j], i)
    return out


def encode_columns(features: Sequence[Feature], columns: Mapping[str, Sequence[object]]) -> NDArray[np.float32]:
    """Encode whole columns (training, batch): same result as `encode_rows`, without the per-row checks.

    The contract has checked the values before. Shape (n_rows, n_features).
    """
    encoded = [_encode_column(feature, columns[feature.name]) for feature in features]
    return np.column_stack(encoded).astype(np.float32) if encoded else np.empty((0, 0), dtype=np.float32)


def _lookup(feature: Feature) -> dict[str, float]:
    return {category: float(index) for index, category in enumerate(feature.categories)}


def _in_order(features: Sequence[Feature], row: Row, index: int) -> Sequence[object]:
    if isinstance(row, Mapping):
        unknown = sorted(set(row) - {feature.name for feature in features})
        if unknown:
            raise RowError(f"row {index}: unknown feature {unknown[0]!r}; expected {_names(features)}")
        return [row.get(feature.name) for feature in features]
    if isinstance(row, str | bytes) or not isinstance(row, Sequence):
        raise RowError(f"row {index}: got {type(row).__name__}; a row is a list or an object keyed by feature name")
    if len(row) != len(features):
        raise RowError(f"row {index}: got {len(row)} values, expected {len(features)}: {_names(features)}")
    return row


def _names(features: Sequence[Feature]) -> str:
    return ", ".join(feature.name for feature in features)


def _encode_value(feature: Feature, lookup: Mapping[str, float], value: object, index: int) -> float:
    if feature.kind == "category":
        if value is None:
            return UNKNOWN_CATEGORY
        if not isinstance(value, str):
            raise RowError(f"row {index}: {feature.name}={value!r}: must be a string")
        return lookup.get(value, UNKNOWN_CATEGORY)
    if value is None:
        if feature.nullable:
            return float("nan")
        raise RowError(f"row {index}: {feature.name} is missing and must be a number")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError(f"row {index}: {feature.name}={value!r}: must be a number")
    # Compared before the conversion: an integer of any length must not overflow, and nothing may become infinite.
    if not -LARGEST <= value <= LARGEST:
        shown = repr(value) if isinstance(value, float) else "a longer integer"
        rule = "fit a 32-bit float" if value - value == 0 else "be finite"
        raise RowError(f"row {index}: {feature.name}={shown}: must {rule}")
    return _checked(feature, float(value), index)


def _checked(feature: Feature, value: float, index: int) -> float:
    if feature.minimum is not None and value < feature.minimum:
        raise RowError(
            f"row {index}: {feature.name}={value!r}: must be at least {feature.minimum} {feature.unit}".rstrip()
        )
    if feature.maximum is not None and value > feature.maximum:
        raise RowError(
            f"row {index}: {feature.name}={value!r}: must be at most {feature.maximum} {feature.unit}".rstrip()
        )
    return value


def _encode_column(feature: Feature, values: Sequence[object]) -> NDArray[np.float32]:
    if feature.kind == "number":
        return np.asarray(values, dtype=np.float32)
    lookup = _lookup(feature)
    codes = [lookup.get(value, UNKNOWN_CATEGORY) if isinstance(value, str) else UNKNOWN_CATEGORY for value in values]
    return np.asarray(codes, dtype=np.float32)
