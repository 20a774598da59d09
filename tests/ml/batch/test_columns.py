"""The columns' encoding beside the row encoder, which decides: same cells, and never a row that it would refuse."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.batch.columns import Column, encode, from_table, from_texts
from ml.data.schema import Feature, RowError
from ml.serving.encoder import Encoder

BOUNDED = Feature(name="distance", kind="number", minimum=0.0, maximum=5000.0)
FREE = Feature(name="free", kind="number", nullable=True)
CARRIER = Feature(name="carrier", kind="category", categories=("AA", "UA", ""))

numbers = st.one_of(
    st.none(),
    st.floats(width=64),
    st.sampled_from([0.0, -0.0, 5000.0, 5000.000001, 3.4028234663852886e38, 3.4028235677973366e38, -1e300]),
)
whole = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 5000, 5001, 2**53 + 1, 2**63 - 1]))
words = st.one_of(st.none(), st.sampled_from(["AA", "UA", "", "aa", "ÄÖ", "\0", "A" * 300]))
cells = st.one_of(st.sampled_from(["1", " 7 ", "NA", "NaN", "NAN", "-nan", "inf", "1e39", "x", "", "0x1", "5000"]))


def judged_by_rows(features: tuple[Feature, ...], rows: list[tuple[Any, ...]]) -> list[Any]:
    """Each row's cells as the row encoder has them, or None where it refuses."""
    encoder, found = Encoder(features), []
    for row in rows:
        try:
            found.append(encoder.array(encoder.check([row]))[0])
        except RowError:
            found.append(None)
    return found


def assert_alike(feature: Feature, column: Column, rows: int) -> int:
    """Rows that are sure are encoded as the row encoder does; the number of them."""
    encoded, sure = encode((feature,), (column,), rows)
    one_by_one = judged_by_rows((feature,), [(column.cell(position),) for position in range(rows)])
    for position in range(rows):
        if sure[position]:
            assert one_by_one[position] is not None, column.cell(position)
            assert encoded[position].tobytes() == one_by_one[position].tobytes() or np.isnan(encoded[position]).all()
            assert np.isnan(encoded[position]).tolist() == np.isnan(one_by_one[position]).tolist()
    return int(sure.sum())


@settings(max_examples=60, deadline=None)
@given(values=st.lists(numbers, min_size=1), kind=st.sampled_from([pa.float64(), pa.float32()]))
def test_floats_are_encoded_as_rows_are(values: list[float | None], kind: Any) -> None:
    with np.errstate(over="ignore"):
        array = pa.array(
            np.array([np.nan if value is None else value for value in values], dtype=kind.to_pandas_dtype())
        )
    for feature in (BOUNDED, FREE):
        assert_alike(feature, from_table(array), len(values))


@settings(max_examples=40, deadline=None)
@given(values=st.lists(whole, min_size=1))
def test_whole_numbers_are_encoded_as_rows_are(values: list[int | None]) -> None:
    for feature in (BOUNDED, FREE):
        assert_alike(feature, from_table(pa.array(values, pa.int64())), len(values))


@settings(max_examples=40, deadline=None)
@given(values=st.lists(words, min_size=1), kind=st.sampled_from(["string", "large_string", "dictionary"]))
def test_categories_are_encoded_as_rows_are(values: list[str | None], kind: str) -> None:
    array = pa.array(values, pa.large_string() if kind == "large_string" else pa.string())

    sure = assert_alike(CARRIER, from_table(array.dictionary_encode() if kind == "dictionary" else array), len(values))

    assert sure == len(values), "every text is a category, known or not"


@settings(max_examples=40, deadline=None)
@given(values=st.lists(cells, min_size=1, max_size=20))
def test_numbers_written_as_text_are_encoded_as_rows_are(values: list[str]) -> None:
    for feature in (BOUNDED, FREE):
        assert_alike(feature, from_texts(pa.array(values)), len(values))


@pytest.mark.parametrize(
    "array",
    [
        pa.array([True, False]),
        pa.array([Decimal("1.5"), None]),
        pa.array([1.0, 2.0], pa.float16()),
        pa.array([[1.0], None]),
        pa.array([1, 2], pa.timestamp("s")),
    ],
    ids=str,
)
@pytest.mark.parametrize("feature", [BOUNDED, FREE, CARRIER], ids=lambda feature: feature.name)
def test_a_type_that_is_neither_number_nor_text_is_left_to_the_row_encoder(array: Any, feature: Feature) -> None:
    assert_alike(feature, from_table(array), 2)


def test_the_usual_types_need_no_row_encoder() -> None:
    table = pa.table(
        {"distance": [1.0, 5000.0], "free": pa.array([None, 2], pa.int32()), "carrier": pa.array(["AA", "XX"])}
    )
    columns = [from_table(column.combine_chunks()) for column in table.columns]

    encoded, sure = encode((BOUNDED, FREE, CARRIER), columns, 2)

    assert sure.all()
    np.testing.assert_array_equal(encoded, np.array([[1, np.nan, 0], [5000, 2, -1]], dtype=np.float32))


def test_a_column_without_any_value_is_missing() -> None:
    nothing = from_table(pa.nulls(2))

    assert assert_alike(FREE, nothing, 2) == 2
    assert assert_alike(CARRIER, nothing, 2) == 2
    assert assert_alike(BOUNDED, nothing, 2) == 0


def test_a_text_that_is_not_utf8_is_refused_alone() -> None:
    raw = pa.array([b"AA", b"\xff", None, b"UA"])
    column = from_table(pa.Array.from_buffers(pa.string(), 4, raw.buffers()))

    _, sure = encode((CARRIER,), (column,), 4)

    assert sure.tolist() == [True, False, True, True]
    assert [column.cell(position) for position in range(4)] == ["AA", b"\xff", None, "UA"]
    with pytest.raises(RowError, match="must be a string"):
        Encoder((CARRIER,)).check([(column.cell(1),)])
