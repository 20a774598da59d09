import numpy as np
import pandas as pd
import pytest

from ml.data.digest import snapshot_sha256

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
