import numpy as np
import pandas as pd
import pytest

from ml.errors import ConfigError
from ml.evaluation import slices

TABLE = pd.DataFrame({"origin": ["b", "a", None, "a"], "minute": [0.0, 600.0, 1430.0, np.nan]})


def _values(by, table=TABLE):
    return {part.value: part.rows.tolist() for part in slices.of({"s": by}, table)}


def test_a_column_cuts_by_its_values_and_a_missing_one_is_a_slice():
    assert _values("origin") == {"(missing)": [2], "a": [1, 3], "b": [0]}


def test_a_function_of_the_table_cuts_as_well():
    assert _values(lambda t: np.where(t["minute"] < 720, "morning", "later")) == {"later": [2, 3], "morning": [0, 1]}


def test_whole_numbers_are_written_without_a_point():
    assert list(_values("minute")) == ["(missing)", "0", "1430", "600"]


def test_each_slice_cuts_all_rows_anew():
    found = slices.of({"origin": "origin", "minute": "minute"}, TABLE)

    for column in ("origin", "minute"):
        rows = np.concatenate([part.rows for part in found if part.column == column])
        assert sorted(rows.tolist()) == [0, 1, 2, 3]


def test_the_rarest_of_many_values_are_one_slice():
    table = pd.DataFrame({"n": np.repeat(np.arange(100), np.arange(1, 101))})

    found = _values("n", table)

    assert len(found) == slices.MAX_SLICES
    assert len(found[slices.REST]) == sum(range(1, 72))
    assert "99" in found
    assert "5" not in found


@pytest.mark.parametrize(
    ("by", "why"), [("gone", "no column 'gone'; the table has: origin, minute"), (lambda t: t["minute"][:2], "shape")]
)
def test_a_slice_that_does_not_fit_the_table_is_refused(by, why):
    with pytest.raises(ConfigError, match=why) as refused:
        slices.of({"s": by}, TABLE)
    assert refused.value.code == "ML-EVAL-001"
