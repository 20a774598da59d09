"""The fast encoder accepts and gives exactly what `encode_rows` does."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data.schema import Feature, RowError, encode_rows
from ml.serving.encoder import FLOAT32_MAX, Encoder

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-10, 10),
    st.integers(-(10**40), 10**40),
    st.sampled_from([0, -0.0, 5e-324, 1e300, FLOAT32_MAX, 3.5e38, 2**53 + 1]),
)
values = st.one_of(numbers, st.none(), st.booleans(), st.sampled_from(["AA", "UA", "", "?", "1"]), st.just([1]))
limits = st.one_of(st.none(), st.integers(-5, 5), st.floats(-5, 5))


@st.composite
def features(draw: st.DrawFn) -> list[Feature]:
    drawn = []
    for index in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            drawn.append(Feature(name=f"c {index}", kind="category", categories=("AA", "UA", "1")))
        else:
            low, high = draw(limits), draw(limits)
            nullable = draw(st.booleans())
            drawn.append(Feature(name=f"n{index}", kind="number", minimum=low, maximum=high, nullable=nullable))
    return drawn


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Feature], list[Any]]:
    schema = draw(features())
    names = st.sampled_from([*(feature.name for feature in schema), "other"])
    rows = st.one_of(
        st.lists(values, min_size=len(schema), max_size=len(schema)),
        st.lists(values, max_size=5),
        st.dictionaries(names, values),
    )
    return schema, draw(st.lists(rows, min_size=1, max_size=4))


def reference(schema: list[Feature], rows: list[Any]) -> np.ndarray | None:
    try:
        with np.errstate(over="ignore"):
            encoded = encode_rows(schema, rows)
    except (RowError, OverflowError):
        return None
    return None if np.isinf(encoded).any() else encoded


@given(cases())
def test_plain_rows_are_encoded_as_encode_rows_does_or_refused_as_it_does(
    case: tuple[list[Feature], list[Any]],
) -> None:
    schema, rows = case
    encoder = Encoder(schema)
    expected = reference(schema, rows)

    if expected is None:
        with pytest.raises(RowError):
            encoder.check(rows)
    else:
        np.testing.assert_array_equal(encoder.array(encoder.check(rows)), expected)


@given(cases())
def test_decoded_rows_are_encoded_as_encode_rows_does(case: tuple[list[Feature], list[Any]]) -> None:
    schema, rows = case
    encoder = Encoder(schema)
    expected = reference(schema, rows)

    try:
        decoded = msgspec.json.decode(json.dumps(rows).encode(), type=list[encoder.any_row])  # type: ignore[name-defined]
    except msgspec.ValidationError:
        assert expected is None
    else:
        assert expected is not None
        np.testing.assert_array_equal(encoder.array(encoder.values(decoded)), expected)


@given(cases())
def test_every_refusal_names_a_row(case: tuple[list[Feature], list[Any]]) -> None:
    schema, rows = case
    expected = reference(schema, rows)

    reason = Encoder(schema).reason(rows)

    assert (reason is None) == (expected is not None)
    assert reason is None or reason.startswith("row ")


def test_the_refusal_names_row_field_value_and_rule() -> None:
    encoder = Encoder([Feature(name="gust", kind="number", unit="mph", maximum=200.0)])

    with pytest.raises(RowError, match=r"row 1: gust=201\.0: must be at most 200\.0 mph"):
        encoder.check([[1], [201]])
    with pytest.raises(RowError, match=r"row 0: wind=1e\+39: must fit a 32-bit float"):
        Encoder([Feature(name="wind", kind="number")]).check([[1e39]])


def test_no_rows_are_an_empty_array() -> None:
    assert Encoder([Feature(name="a", kind="number")]).array([]).shape == (0, 1)
