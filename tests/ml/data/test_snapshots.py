import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data import snapshots
from ml.data.digest import snapshot_sha256
from ml.errors import DataError


def table():
    return pd.DataFrame({"key": [1, 2, 3], "x": [0.5, np.nan, 2.0], "text": ["a", "b", None]}).astype({"text": "str"})


def test_a_snapshot_gives_back_the_rows_and_where_they_came_from(tmp_path):
    name, path = snapshots.write(table(), tmp_path, source="here", ledger={"total": 3})

    rows, meta = snapshots.load(name, tmp_path)
    pd.testing.assert_frame_equal(rows, table())
    assert (meta["source"], meta["ledger"], path.name) == ("here", {"total": 3}, f"{name}.parquet")


def test_a_snapshot_is_never_written_again(tmp_path):
    _, path = snapshots.write(table(), tmp_path, source="here")
    before = path.stat().st_ino
    snapshots.write(table(), tmp_path, source="there")

    assert path.stat().st_ino == before
    assert path.stat().st_mode & 0o777 == 0o444


def test_widths_and_the_order_of_columns_do_not_matter_values_and_the_order_of_rows_do():
    same = snapshot_sha256(table())

    assert snapshot_sha256(table().astype({"key": "int16"})[["text", "x", "key"]]) == same
    assert snapshot_sha256(table().iloc[::-1]) != same
    assert snapshot_sha256(table().assign(key=[1, 2, 4])) != same


@pytest.mark.integration
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_refused_or_changes_no_row(tmp_path_factory, position, bit):
    folder = tmp_path_factory.mktemp("snapshots")
    name, path = snapshots.write(table(), folder, source="here")
    raw = bytearray(path.read_bytes())
    raw[position % len(raw)] ^= 1 << bit
    path.chmod(0o644)
    path.write_bytes(raw)

    try:
        found = snapshot_sha256(snapshots.load(name, folder)[0])
    except DataError as error:
        found = error.code

    assert found in (name, "ML-DATA-012")


def test_another_snapshots_content_under_this_name_is_named(tmp_path):
    one, _ = snapshots.write(table(), tmp_path, source="here")
    other, path = snapshots.write(table().head(2), tmp_path, source="here")
    (tmp_path / f"{one}.parquet").chmod(0o644)
    (tmp_path / f"{one}.parquet").write_bytes(path.read_bytes())

    with pytest.raises(DataError, match=f"holds the rows of {other}"):
        snapshots.load(one, tmp_path)
    assert snapshots.stored_sha256(one, tmp_path) == other


def test_a_snapshot_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"ML-DATA-012.*there is none"):
        snapshots.load("0" * 64, tmp_path)
    assert snapshots.stored_sha256("0" * 64, tmp_path) is None


def test_a_damaged_snapshot_is_mended_by_writing_it_again(tmp_path):
    name, path = snapshots.write(table(), tmp_path, source="here")
    path.chmod(0o644)
    path.write_bytes(b"nothing")

    snapshots.write(table(), tmp_path, source="here")

    assert snapshots.stored_sha256(name, tmp_path) == name


def test_a_table_in_batches_is_the_same_snapshot_as_the_whole(tmp_path):
    whole, _ = snapshots.write(table(), tmp_path / "one", source="here")
    arrow = pa.Table.from_pandas(table(), preserve_index=False)
    cut, path = snapshots.write_batches(arrow.schema, arrow.to_batches(1), tmp_path / "other", source="here")

    assert cut == whole
    assert [each.name for each in (tmp_path / "other").iterdir()] == [path.name]
    pd.testing.assert_frame_equal(snapshots.load(cut, tmp_path / "other")[0], table())


def test_a_table_without_rows_can_be_kept(tmp_path):
    name, _ = snapshots.write(table().head(0), tmp_path, source="here")

    assert snapshots.stored_sha256(name, tmp_path) == name
