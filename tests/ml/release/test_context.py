import hashlib
from pathlib import Path

import pytest

from ml.errors import ConfigError, GateError
from ml.release.closure import source_files
from ml.release.context import assemble
from tests.ml.release.folders import write_release

SOURCES = {
    "ml/__init__.py": "",
    "ml/errors.py": "",
    "ml/unused.py": "",
    "ml/serving/__init__.py": "",
    "ml/serving/__main__.py": "from ml.serving import app\n",
    "ml/serving/app.py": "def run():\n    import json, numpy\n    from ..release.record import problems\n",
    "ml/release/__init__.py": "",
    "ml/release/record.py": "from ml.errors import PipelineError\n",
    "ml/release/create.py": "import mlflow\n",
    "images/serving/Dockerfile": "FROM scratch\n",
    "images/serving/requirements.txt": "numpy==1\n",
}
NEEDED = {
    "Dockerfile", "requirements.txt",
    "ml/__init__.py", "ml/errors.py", "ml/serving/__init__.py", "ml/serving/__main__.py", "ml/serving/app.py",
    "ml/release/__init__.py", "ml/release/record.py",
    "model/record.json", "model/model.onnx", "model/serving.json",
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_release(tmp_path, "flights-0001")
    return tmp_path


def content(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_context_holds_the_release_and_only_the_code_that_serves_it(root: Path) -> None:
    target = assemble(root, "flights-0001", root / "context")

    assert set(content(target)) == NEEDED


def test_a_second_assembly_touches_nothing(root: Path) -> None:
    target = assemble(root, "flights-0001", root / "context")
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}

    assemble(root, "flights-0001", target)

    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before


def test_what_is_left_over_or_in_the_way_is_cleared(root: Path) -> None:
    clean = content(assemble(root, "flights-0001", root / "clean"))
    target = root / "context"
    (target / "model" / "model.onnx").mkdir(parents=True)
    (target / "model" / "model.onnx" / "old").write_text("x")
    (target / "model" / "weights.pkl").write_text("x")
    (target / "ml").write_text("a file where a folder must be")
    (target / "Dockerfile").symlink_to(root / "images/serving/requirements.txt")

    assert content(assemble(root, "flights-0001", target)) == clean
    assert not (target / "Dockerfile").is_symlink()
    assert (root / "images/serving/requirements.txt").read_text() == "numpy==1\n"


def test_a_changed_source_changes_the_context(root: Path) -> None:
    before = content(assemble(root, "flights-0001", root / "context"))
    (root / "ml/errors.py").write_text("A = 1\n")

    after = content(assemble(root, "flights-0001", root / "context"))

    assert {name for name in before if before[name] != after[name]} == {"ml/errors.py"}


def test_a_bad_release_gets_no_context(root: Path) -> None:
    (root / "releases/flights-0001/model.onnx").write_bytes(b"other")

    with pytest.raises(GateError):
        assemble(root, "flights-0001", root / "context")
    assert not (root / "context").exists()


def test_a_missing_recipe_or_module_is_named(root: Path) -> None:
    (root / "ml/errors.py").unlink()
    with pytest.raises(ConfigError, match=r"ml\.errors"):
        source_files(root, ["ml.serving"])

    (root / "images/serving/Dockerfile").unlink()
    with pytest.raises(ConfigError, match="Dockerfile"):
        assemble(root, "flights-0001", root / "context")
