import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.data import snapshots
from ml.data.digest import snapshot_sha256
from ml.data.spill import Spill
from ml.errors import DataError
from tests.ml.data.small import problem

CONTRACT = problem().contract
ORDER = ["when"]
ROW = st.tuples(
    st.sampled_from([pd.Timestamp("2013-01-01"), pd.Timestamp("2013-01-02 03:04:05.000006")]),
    st.integers(-2, 2),
    st.sampled_from([None, -0.5, 0.0, 1e-300, 99.0]),
    st.sampled_from(["blue", "green"]),
)


def frame(rows):
    table = pd.DataFrame(rows, columns=["when", "hot", "heat", "colour"])
    return table.astype({"when": "datetime64[us]", "hot": "int64", "heat": float, "colour": "str"})


def kept(folder, chunks):
    with Spill(folder, CONTRACT) as spill:
        for chunk in chunks:
            spill.add(chunk)
        return snapshots.write_batches(spill.schema, spill.ordered(ORDER), folder, source="x"), spill.rows


@settings(max_examples=10)
@given(rows=st.lists(ROW, min_size=1, max_size=30), cut=st.integers(0, 30))
def test_the_snapshot_is_that_of_the_rows_sorted_in_memory(tmp_path_factory, rows, cut):
    folder, table = tmp_path_factory.mktemp("store"), frame(rows)
    (name, path), count = kept(folder, [table.iloc[cut:], table.iloc[:cut]])

    expected = table.sort_values(["when", "colour", "heat", "hot"], kind="stable", ignore_index=True)
    assert name == snapshot_sha256(expected)
    pd.testing.assert_frame_equal(snapshots.load(name, folder)[0], expected)
    assert ([each.name for each in folder.iterdir()], count) == ([path.name], len(rows))


def test_texts_are_sorted_by_code_point_and_missing_values_last(tmp_path):
    problem_ = problem(colours=("Z", "a", "\u00e9", "\U0001f600"))
    table = frame(
        [("2013-01-01", 1, heat, text) for text in ("\U0001f600", "\u00e9", "a", "Z") for heat in (np.nan, 1)]
    )
    with Spill(tmp_path, problem_.contract) as spill:
        spill.add(table)
        found = pd.concat([batch.to_pandas() for batch in spill.ordered(["when", "colour"])])

    assert found["colour"].tolist() == [text for text in ("Z", "a", "\u00e9", "\U0001f600") for _ in range(2)]
    assert found["heat"].isna().tolist() == [False, True] * 4


def test_rows_that_cannot_be_put_away_are_an_error_that_names_the_folder(tmp_path):
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(DataError, match=r"ML-DATA-013.*file"):
        Spill(tmp_path / "file", CONTRACT)


def test_nothing_is_left_on_the_disk_when_the_table_is_refused(tmp_path):
    spill = Spill(tmp_path, CONTRACT)
    spill.add(frame([("2013-01-01", 1, 1.0, "blue")]))
    there = list(tmp_path.iterdir())
    spill.__exit__(DataError, None, None)

    assert len(there) == 1
    assert list(tmp_path.iterdir()) == []
