import json
from dataclasses import replace

import pytest

from ml.cli import main
from ml.cli.reproduce import _lines
from ml.errors import DataError
from ml.training import lineage
from ml.training.reproduce import reproduce
from ml.training.run import train
from tests.ml.training.toy import problem, table

pytestmark = pytest.mark.integration


def record_of(candidate):
    """The part of a release record that training fills."""
    fields = {name: getattr(candidate, name) for name in ("problem", "data", "environment", "parameters", "files")}
    code = {"tree_sha256": candidate.tree_sha256}
    rest = {"metrics": candidate.metrics, "search": candidate.search, "lock_sha256": candidate.lock_sha256}
    return json.loads(json.dumps({**fields, **rest, "code": code}))


@pytest.fixture
def record(tmp_path):
    return record_of(train(problem(), "2013-02", out=tmp_path / "out", cached=tmp_path / "cache", seed=3))


def again(record, toy=None):
    return reproduce(toy or problem(), record, progress=lambda _step: None)


def test_the_record_alone_gives_the_same_bytes_and_metrics(record):
    found = again(record)

    assert found.is_same
    assert (dict(found.inputs), found.files, dict(found.metrics)) == ({}, (), {})
    assert _lines("toy-0001", found) == ["toy-0001: the same model bytes, serving.json and metrics came out again"]


def test_other_data_are_named(record):
    found = again(record, problem(data=table(seed=9)))

    assert not found.is_same
    assert set(found.files) == {"model.onnx", "serving.json"}
    assert "data.snapshot_sha256" in found.inputs
    assert "log_loss" in found.metrics
    text = "\n".join(_lines("toy-0001", found))
    assert "NOT reproduced" in text
    assert "data.snapshot_sha256" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [("tree_sha256", "0" * 64), ("lock_sha256", "1" * 64), ("environment", {"python": "3.0", "packages": {}})],
)
def test_an_input_that_differs_without_effect_is_said_and_is_no_failure(record, monkeypatch, name, value):
    monkeypatch.setattr(lineage, name, lambda *_arguments: value)

    found = again(record)

    assert found.is_same
    assert found.inputs
    assert "made no difference" in "\n".join(_lines("toy-0001", found))


def test_a_result_that_differs_without_an_input_says_where_to_look(record):
    record["metrics"]["accuracy"] -= 1e-12

    lines = _lines("toy-0001", again(record))

    assert lines[-1] == "no recorded input differs: look at the processor"


def test_another_problems_record_is_refused(record):
    with pytest.raises(DataError, match="ML-TRAIN-022"):
        again(record, replace(problem(), name="other"))


def test_help_shows_an_example(capsys):
    assert main(["reproduce", "--help"]) == 0
    assert "mlp reproduce flights-0001" in capsys.readouterr().out
