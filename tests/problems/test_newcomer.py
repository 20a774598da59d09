"""The guide docs/guides/bring-your-own-model.md, done to a copy of the tree: one folder and one line, nothing else."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.meta.tree import ROOT, files
from tests.ml.serving.process import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
GONE = ("ml/flights/", "releases/flights-", "releases/keys/", "tests/")
LINE = 'problem = "ml.flights"'
KEY = "a-key"


class Newcomer:
    """Somebody's own checkout: `ml/flights` is gone, `ml/iris` is there, the line in pyproject.toml names it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        for name in files():
            if not name.startswith(GONE) and (ROOT / name).is_file():
                target = self.root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)
        shutil.copytree(ROOT / "tests/problems/iris", self.root / "ml/iris", ignore=shutil.ignore_patterns("__*"))
        (self.root / "ml/iris/__init__.py").touch()
        pyproject = self.root / "pyproject.toml"
        text = pyproject.read_text()
        assert text.count(LINE) == 1
        pyproject.write_text(text.replace(LINE, 'problem = "ml.iris"'))
        (self.root / ".venv").symlink_to(ROOT / ".venv")
        self.environment = {**os.environ, "PYTHONPATH": str(self.root), "MLP_HOME": str(folder / "home")}
        self.environment.pop("MLP_DATA_STORE", None)
        self.git("init", "--quiet")
        self.commit()

    def git(self, *words: str) -> None:
        identity = ["-c", "user.name=newcomer", "-c", "user.email=newcomer@example.org"]
        subprocess.run(["git", *identity, *words], cwd=self.root, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "My own problem")

    def mlp(self, *words: str) -> str:
        """Run a command of the guide; it must succeed."""
        done = subprocess.run(
            [self.root / ".venv/bin/python", "-c", "import sys; from ml.cli import main; sys.exit(main())", *words],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"mlp {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    return Newcomer(tmp_path_factory.mktemp("newcomer"))


@pytest.fixture
def server(newcomer: Newcomer, tmp_path: Path) -> Iterator[Server]:
    keys = tmp_path / "keys"
    keys.write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n")
    started = Server(
        newcomer.root / "releases/iris-0001", "iris-0001", keys, PYTHONPATH=str(newcomer.root), DRAIN_SECONDS="1"
    )
    with started:
        yield started


def test_one_folder_and_one_line_become_a_release_that_passed(newcomer: Newcomer) -> None:
    assert "the data pass" in newcomer.mlp("data", "validate")
    assert "trained on 119 rows" in newcomer.mlp("train")
    newcomer.mlp("keys", "create")
    newcomer.commit()

    assert "PASS iris-0001" in newcomer.mlp("release", "create", "--champion", "none")
    assert "iris-0001 verifies and passed" in newcomer.mlp("release", "verify", "iris-0001")


def test_its_server_answers_four_numbers(server: Server) -> None:
    row = {"features": [1.0, 2.0, 3.0, 4.0]}
    answer = httpx.post(f"{server.url}/predict", json=row, headers={"Authorization": f"Bearer {KEY}"}).json()

    assert (answer["prediction"], answer["model_version"]) == ("virginica", "iris-0001")
