import pytest

from ml.training import lineage


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
