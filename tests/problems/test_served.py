"""Other problems go the whole way: a folder, a release that verifies, a server process that answers over HTTP."""

import ast
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from ml.problem import by_package
from ml.release import store
from ml.release.create import Request, create
from tests.meta.tree import ROOT, files, parsed
from tests.ml.release.signing import SIGNER, trust
from tests.ml.release.tiny import measure, scanner
from tests.ml.serving.client import KEY
from tests.ml.serving.conftest import keys_file  # noqa: F401  (a fixture)
from tests.ml.serving.process import Server

pytestmark = pytest.mark.integration

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HEADERS = {"Authorization": f"Bearer {KEY}"}
OTHERS = ("diabetes", "iris")


def make(root: Path, name: str, champion: str | None = None) -> store.Release:
    request = Request(through=None, champion=champion)
    problem = by_package(f"tests.problems.{name}")
    trust(root)
    given = {"now": NOW, "signer": SIGNER, "progress": lambda _: None, "scan": scanner(), "measure": measure}
    return create(root, problem, request, **given)


@pytest.mark.parametrize("name", OTHERS)
def test_a_folder_becomes_a_release_that_passed_and_verifies(tmp_path: Path, name: str) -> None:
    release = make(tmp_path, name)

    assert release.id == f"{name}-0001"
    assert release.record["gate"]["verdict"] == "pass"
    assert store.verify(tmp_path, release.id).raw == release.raw
    document = json.loads((release.directory / "evaluation.json").read_bytes())
    assert document["kind"] == release.record["kind"]
    assert document["model_sha256"] == release.record["files"]["model.onnx"]


@pytest.mark.parametrize("name", OTHERS)
def test_its_next_release_is_compared_with_it(tmp_path: Path, name: str) -> None:
    make(tmp_path, name)

    second = make(tmp_path, name, champion=f"{name}-0001")

    assert second.record["champion"]["release"] == f"{name}-0001"
    assert second.record["champion"]["prediction_diff"]["flip_rate"] == 0


def _says(path: str) -> str:
    """What a file says but for Python's comments, which may name a well-known example."""
    text = ast.unparse(parsed(path)) if path.endswith(".py") else (ROOT / path).read_text(errors="ignore")
    return text.lower()


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_outside_its_folder_knows_it(name: str) -> None:
    knows = [
        path
        for path in files()
        if not path.startswith(("tests/", "docs/", "benchmarks/", "changelog.d/", "releases/"))
        and not path.endswith((".md", "requirements.txt"))
        and name in _says(path)
    ]

    assert knows == []


@pytest.fixture
def served(tmp_path: Path, keys_file: Path, request: pytest.FixtureRequest) -> Iterator[Server]:  # noqa: F811
    release = make(tmp_path, request.param)
    server = Server(release.directory, release.id, keys_file, DRAIN_SECONDS="1", GRACE_SECONDS="2")
    try:
        server.wait_ready()
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


@pytest.mark.integration
@pytest.mark.parametrize("served", ["iris"], indirect=True)
def test_the_server_of_iris_answers_a_plain_list_of_four_numbers(served: Server) -> None:
    answer = httpx.post(f"{served.url}/predict", json={"features": [1.0, 2.0, 3.0, 4.0]}, headers=HEADERS).json()

    assert answer["prediction"] in ("setosa", "versicolor", "virginica")
    assert 1 / 3 < answer["probability"] <= 1  # of the class that is predicted
    assert answer["model_version"] == "iris-0001"


@pytest.mark.integration
@pytest.mark.parametrize("served", ["diabetes"], indirect=True)
def test_the_server_of_diabetes_answers_a_number_and_refuses_a_row_that_is_too_short(served: Server) -> None:
    row = [59.0, 2.0, 32.1, 101.0, 157.0, 93.2, 38.0, 4.0, 4.8598, 87.0]  # the first patient: 151 after a year

    answer = httpx.post(f"{served.url}/predict", json={"features": row}, headers=HEADERS).json()
    short = httpx.post(f"{served.url}/predict", json={"features": row[:4]}, headers=HEADERS)

    assert 100 < answer["prediction"] < 300
    assert answer["model_version"] == "diabetes-0001"
    assert short.status_code == 422
    assert "got 4 values, expected 10" in short.text
