import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data.digest import chunked_sha256, snapshot_sha256

TABLE = pd.DataFrame(
    {
        "when": pd.to_datetime(["2013-01-01", "2013-01-02", None]),
        "n": [1.0, np.nan, 3.0],
        "text": pd.Series(["a", None, "b"], dtype="str"),
    }
)


def test_the_hash_survives_a_parquet_and_a_feather_file(tmp_path):
    TABLE.to_parquet(tmp_path / "t.parquet")
    TABLE.to_feather(tmp_path / "t.feather")

    hashes = {
        snapshot_sha256(table)
        for table in (TABLE, pd.read_parquet(tmp_path / "t.parquet"), pd.read_feather(tmp_path / "t.feather"))
    }

    assert len(hashes) == 1


def test_the_hash_does_not_see_types_units_or_column_order():
    same = TABLE.assign(text=TABLE["text"].astype(object), when=TABLE["when"].astype("datetime64[ns]"))
    ints = TABLE[["n"]].fillna(2)

    assert snapshot_sha256(same[["text", "n", "when"]]) == snapshot_sha256(TABLE)
    assert snapshot_sha256(ints) == snapshot_sha256(ints.astype(int))


@pytest.mark.parametrize(
    "other",
    [
        TABLE.iloc[::-1],
        TABLE.iloc[:2],
        TABLE.rename(columns={"n": "m"}),
        TABLE.assign(n=[1.0, np.nan, 3.0000000000000004]),
        TABLE.assign(n=[1.0, 0.0, 3.0]),
        TABLE.assign(text=pd.Series(["a", "", "b"], dtype="str")),
        TABLE.assign(text=pd.Series(["b", None, "a"], dtype="str")),
        TABLE.assign(when=pd.to_datetime(["2013-01-01", "2013-01-03", None])),
    ],
)
def test_any_other_content_has_another_hash(other):
    assert snapshot_sha256(other) != snapshot_sha256(TABLE)


def test_texts_cannot_be_moved_from_one_cell_to_the_next():
    first, second = pd.DataFrame({"a": ["xy", "z"]}), pd.DataFrame({"a": ["x", "yz"]})

    assert snapshot_sha256(first) != snapshot_sha256(second)


def test_the_hash_stays_what_committed_records_say():
    assert int(snapshot_sha256(TABLE)[:12], 16) == 0x21590657D9AA


cells = st.sampled_from([None, "a", "b", "\u00e9", 1, 2.5, True])


@given(values=st.lists(st.tuples(cells, st.sampled_from([None, True, False])), max_size=12), data=st.data())
def test_the_hash_does_not_see_how_a_table_was_cut(values, data):
    """Also where a chunk alone would have another type than the column has: only booleans, or nothing at all."""
    table = pd.DataFrame(values, columns=["mixed", "flag"], dtype=object).assign(n=lambda t: t["flag"].astype(float))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(table)), max_size=4)))
    bounds = list(zip([0, *cuts], [*cuts, len(table)], strict=True))

    def chunks(name):
        parts = [table[name].iloc[first:last] for first, last in bounds]
        nullable = name == "flag" and table[name].isna().any()
        return [part.astype(bool) if nullable and part.notna().all() else part for part in parts]

    columns = {name: lambda name=name: chunks(name) for name in table.columns}
    assert chunked_sha256(columns, len(table)) == snapshot_sha256(table)
