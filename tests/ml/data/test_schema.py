import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data.schema import UNKNOWN_CATEGORY, Feature, RowError, encode_columns, encode_rows

NUMBER = Feature(name="age", kind="number", unit="years", minimum=0, maximum=150, nullable=True)
STRICT = Feature(name="size", kind="number", minimum=-5)
CATEGORY = Feature(name="colour", kind="category", categories=("blue", "green"))
FEATURES = (NUMBER, STRICT, CATEGORY)

_ages = st.none() | st.floats(0, 150, width=32) | st.integers(0, 150)
_sizes = st.floats(-5, 2.0**100, width=32)
_colours = st.none() | st.sampled_from(["blue", "green", "red", ""])
_rows = st.lists(st.tuples(_ages, _sizes, _colours), min_size=1, max_size=30)


@given(_rows)
def test_rows_and_columns_encode_alike(rows):
    columns = {f.name: [row[i] for row in rows] for i, f in enumerate(FEATURES)}
    columns["age"] = [math.nan if value is None else value for value in columns["age"]]

    by_row, by_column = encode_rows(FEATURES, rows), encode_columns(FEATURES, columns)

    np.testing.assert_array_equal(by_row, by_column)
    assert by_row.dtype == by_column.dtype == np.float32


@given(_rows)
def test_lists_and_objects_encode_alike(rows):
    objects = [{f.name: value for f, value in zip(FEATURES, row, strict=True)} for row in rows]

    np.testing.assert_array_equal(encode_rows(FEATURES, rows), encode_rows(FEATURES, objects))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1, None, "blue"], "size is missing"),
        ([1, "2", "blue"], "size='2': must be a number"),
        ([1, True, "blue"], "size=True: must be a number"),
        ([1, math.inf, "blue"], "size=inf: must be finite"),
        ([1, 1e39, "blue"], "size=1e+39: must fit a 32-bit float"),
        ([1, 10**5000, "blue"], "size=a longer integer: must fit"),
        ([math.nan, 1, "blue"], "age=nan: must be finite"),
        ([151, 1, "blue"], "age=151.0: must be at most 150 years"),
        ([1, -6, "blue"], "size=-6.0: must be at least -5"),
        ([1, 1, 7], "colour=7: must be a string"),
        ([1, 1], "got 2 values, expected 3"),
        ("abc", "got str"),
        ({"age": 1, "size": 1, "colour": "blue", "extra": 1}, "unknown feature 'extra'"),
    ],
)
def test_a_bad_value_is_named_with_its_rule(row, words):
    with pytest.raises(RowError, match=r"row 1: ") as caught:
        encode_rows(FEATURES, [[1, 1, "blue"], row])

    assert words in str(caught.value)


def test_an_unknown_category_and_a_missing_one_are_the_same_code():
    encoded = encode_rows(FEATURES, [[1, 1, "violet"], [1, 1, None]])

    assert encoded[:, 2].tolist() == [UNKNOWN_CATEGORY, UNKNOWN_CATEGORY]


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_survives_json(feature):
    assert Feature.from_json(feature.to_json()) == feature
