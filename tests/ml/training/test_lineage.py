import numpy as np
import pandas as pd
import pytest

from ml.training import lineage

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
        lineage.snapshot_sha256(table)
        for table in (TABLE, pd.read_parquet(tmp_path / "t.parquet"), pd.read_feather(tmp_path / "t.feather"))
    }

    assert len(hashes) == 1


def test_the_hash_does_not_see_types_units_or_column_order():
    same = TABLE.assign(text=TABLE["text"].astype(object), when=TABLE["when"].astype("datetime64[ns]"))
    ints = TABLE[["n"]].fillna(2)

    assert lineage.snapshot_sha256(same[["text", "n", "when"]]) == lineage.snapshot_sha256(TABLE)
    assert lineage.snapshot_sha256(ints) == lineage.snapshot_sha256(ints.astype(int))


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
    assert lineage.snapshot_sha256(other) != lineage.snapshot_sha256(TABLE)


def test_texts_cannot_be_moved_from_one_cell_to_the_next():
    first, second = pd.DataFrame({"a": ["xy", "z"]}), pd.DataFrame({"a": ["x", "yz"]})

    assert lineage.snapshot_sha256(first) != lineage.snapshot_sha256(second)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    root = tmp_path / "one"
    for name in ("ml/data/a.py", "ml/evaluation/b.py", "ml/training/c.py", "ml/problem.py", "ours/problem.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "ours/__init__.py").touch()
    monkeypatch.setattr("ml.training.lineage.paths.repo_root", lambda: root)
    monkeypatch.setattr("ml.training.lineage._folder", lambda _package: root / "ours")
    return root


def test_the_code_hash_sees_every_file_that_makes_a_model(checkout):
    seen = {lineage.tree_sha256("ours")}
    for name in ("ml/data/a.py", "ml/evaluation/b.py", "ml/training/c.py", "ml/problem.py", "ours/problem.py"):
        (checkout / name).write_text("changed")
        seen.add(lineage.tree_sha256("ours"))
    (checkout / "ours/new.csv").write_text("1")
    seen.add(lineage.tree_sha256("ours"))

    assert len(seen) == 7


def test_the_code_hash_does_not_see_where_the_checkout_lies_nor_bytecode(checkout, monkeypatch):
    before = lineage.tree_sha256("ours")
    (checkout / "ours/__pycache__").mkdir()
    (checkout / "ours/__pycache__/x.pyc").write_bytes(b"1")
    moved = checkout.rename(checkout.parent / "two")
    monkeypatch.setattr("ml.training.lineage.paths.repo_root", lambda: moved)
    monkeypatch.setattr("ml.training.lineage._folder", lambda _package: moved / "ours")

    assert lineage.tree_sha256("ours") == before


def test_the_environment_names_versions():
    got = lineage.environment()

    assert got["python"].startswith("3.11")
    assert {"numpy", "scikit-learn", "onnxruntime"} <= set(got["packages"])
