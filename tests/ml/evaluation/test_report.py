import json
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from ml.evaluation import report
from ml.evaluation.report import Judged

RNG = np.random.default_rng(2)
ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "ml/release/schema/evaluation-file.json").read_text())
N = 400


def judged(kind):
    if kind == "regression":
        labels = RNG.normal(size=N)
        return Judged(kind=kind, labels=labels, predictions=labels + 0.1, probabilities=None, classes=())
    classes = (0, 1) if kind == "binary" else ("a", "b", "c")
    raw = RNG.uniform(size=(N, len(classes)))
    probabilities = (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)
    labels = np.asarray(classes)[RNG.integers(0, len(classes), size=N)]
    predictions = np.asarray(classes)[probabilities.argmax(axis=1)]
    return Judged(kind=kind, labels=labels, predictions=predictions, probabilities=probabilities, classes=classes)


KINDS = ("binary", "multiclass", "regression")


@pytest.mark.parametrize("kind", KINDS)
def test_the_document_keeps_its_schema_and_is_small(kind):
    content = report.to_bytes(report.document(judged(kind), model_sha256="a" * 64))

    Draft202012Validator.check_schema(SCHEMA)
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(json.loads(content))] == []
    assert len(content) < 40_000


def test_the_schema_would_refuse_another_shape():
    content = {**report.document(judged("binary"), model_sha256="a" * 64), "curves": {"roc": []}, "more": 1}

    assert len(list(Draft202012Validator(SCHEMA).iter_errors(content))) >= 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_answers_give_the_same_bytes(kind):
    answers = judged(kind)

    first, second = (report.to_bytes(report.document(answers, model_sha256="a" * 64)) for _ in range(2))

    assert first == second


def test_the_section_counts_the_rows_of_each_class():
    section = report.section(judged("multiclass"), model_sha256="a" * 64, runtime={"bytes": 1})

    assert section["counts"]["rows"] == N
    assert sum(section["counts"]["classes"].values()) == N
    assert section["runtime"] == {"bytes": 1}


def test_a_regression_has_residuals_and_no_curves():
    content = report.document(judged("regression"), model_sha256="a" * 64)

    assert (content["curves"], content["confusion"], content["classes"]) == (None, None, [])
    assert content["residuals"]["quantiles"][4] == [0.5, pytest.approx(0.1)]


def test_binary_draws_one_curve_and_multiclass_one_a_class():
    binary = report.document(judged("binary"), model_sha256="a" * 64)["curves"]
    multiclass = report.document(judged("multiclass"), model_sha256="a" * 64)["curves"]

    assert [curve["class"] for curve in binary["roc"]] == [1]
    assert [curve["class"] for curve in multiclass["precision_recall"]] == ["a", "b", "c"]


def test_a_class_that_never_occurs_is_named_as_left_out():
    answers = judged("multiclass")
    keep = answers.labels != "c"
    part = Judged(
        kind="multiclass",
        labels=answers.labels[keep],
        predictions=answers.predictions[keep],
        probabilities=answers.probabilities[keep],
        classes=answers.classes,
    )

    assert report.document(part, model_sha256="a" * 64)["curves"]["left_out"] == ["c"]


def test_of_very_many_classes_the_most_frequent_are_drawn():
    classes = tuple(range(25))
    labels = np.repeat(classes, range(1, 26))
    probabilities = np.full((len(labels), 25), 0.04)
    answers = Judged(kind="multiclass", labels=labels, predictions=labels, probabilities=probabilities, classes=classes)

    curves = report.document(answers, model_sha256="a" * 64)["curves"]

    assert [curve["class"] for curve in curves["roc"]] == list(range(15, 25))
    assert curves["left_out"] == list(range(15))


def test_a_number_that_is_not_finite_is_never_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        report.to_bytes({"x": float("nan")})
