"""When two answers are the same, how far apart others are, and what is no answer."""

import json
from typing import Any

import pytest

from ml.serving.shadow_compare import MAX_VERSIONS, Comparison, Labelled, UnreadableError
from ml.serving.spec import ReferenceBins, Spec, parse
from tests.ml.serving.releases import delay_serving, iris_serving, sum_serving

KINDS = {"multiclass": iris_serving, "binary": delay_serving, "regression": sum_serving}


def spec(kind: str) -> Spec:
    return parse(json.dumps(KINDS[kind]()).encode())


def one(label: object, score: float | None, version: str = "iris-0002") -> bytes:
    return json.dumps({"prediction": label, "probability": score, "model_version": version}).encode()


def many(labels: list[Any], scores: list[float] | None) -> bytes:
    return json.dumps({"predictions": labels, "probabilities": scores, "model_version": "iris-0002"}).encode()


def compared(kind: str, ours: Labelled, body: bytes) -> Any:
    comparison = Comparison(spec(kind))
    comparison.compare(ours, body)
    return comparison.counts["iris-0002"]


def test_the_same_label_is_the_same_answer_however_sure_the_other_is() -> None:
    found = compared("multiclass", Labelled(labels=["setosa"], scores=[0.9]), one("setosa", 0.6))

    assert (found.same, found.different, found.same_rows, found.different_rows) == (1, 0, 1, 0)
    assert found.difference_sum == pytest.approx(0.3)


def test_one_other_row_makes_the_request_different_and_only_that_row_counts_as_such() -> None:
    ours = Labelled(labels=["setosa", "virginica", "setosa"], scores=[0.9, 0.8, 0.7])

    found = compared("multiclass", ours, many(["setosa", "setosa", "setosa"], [0.9, 0.6, 0.7]))

    assert (found.same, found.different, found.same_rows, found.different_rows) == (0, 1, 2, 1)
    assert sum(found.differences) == 2  # of the row with another label of three, nobody knows


def test_of_two_labels_the_other_one_s_probability_is_the_rest() -> None:
    found = compared("binary", Labelled(labels=[True], scores=[0.7]), one(False, 0.8))

    assert found.different_rows == 1
    assert found.difference_sum == pytest.approx(0.5)


@pytest.mark.parametrize(("other", "same"), [(9.05, 1), (9.2, 0)])
def test_numbers_are_the_same_within_a_hundredth_of_the_release_s_scale(other: float, same: int) -> None:
    found = compared("regression", Labelled(labels=[9.0], scores=None), one(other, None))  # golden numbers: 0 to 9

    assert found.same == same
    assert found.difference_sum == pytest.approx((other - 9) / 9)


def test_the_scale_is_the_span_of_the_reference_s_bins_where_the_release_has_them() -> None:
    serving = parse(
        json.dumps(sum_serving() | {"predictions": {"value": {"edges": [0, 50, 100], "counts": []}}}).encode()
    )
    comparison = Comparison(serving)
    comparison.compare(Labelled(labels=[9.0], scores=None), one(9.9, None))

    assert isinstance(serving.predictions["value"], ReferenceBins)
    assert comparison.counts["iris-0002"].same == 1


def test_the_protocol_s_own_form_is_read_as_well() -> None:
    outputs = [
        {"name": "predictions", "shape": [2], "datatype": "BYTES", "data": ["setosa", "virginica"]},
        {"name": "probabilities", "shape": [2, 3], "datatype": "FP64", "data": [0.9, 0.1, 0.0, 0.1, 0.1, 0.8]},
    ]
    body = json.dumps({"model_name": "iris", "model_version": "iris-0002", "outputs": outputs}).encode()

    found = compared("multiclass", Labelled(labels=["setosa", "virginica"], scores=[0.9, 0.7]), body)

    assert (found.same_rows, found.different_rows) == (2, 0)
    assert found.difference_sum == pytest.approx(0.1)


GARBAGE = {
    "no JSON": b"<html>",
    "not UTF-8": b"\xff\xfe",
    "nothing": b"",
    "nested": b"[" * 100_000,
    "no version": b'{"prediction": "setosa", "probability": 0.9}',
    "an empty version": one("setosa", 0.9, ""),
    "a version without end": one("setosa", 0.9, "x" * 1000),
    "too few rows": many(["setosa"], [0.9]),
    "too many rows": many(["setosa"] * 3, [0.9] * 3),
    "too few scores": many(["setosa"] * 2, [0.9]),
    "a score that is none": b'{"predictions": ["setosa", "setosa"], "probabilities": ["a", 1], "model_version": "v"}',
    "no label at all": b'{"model_version": "v"}',
    "outputs without labels": b'{"model_version": "v", "outputs": [{"name": "x", "data": []}]}',
    "a label of no class": json.dumps(
        {
            "model_version": "v",
            "outputs": [{"name": "predictions", "data": ["a", "b"]}, {"name": "probabilities", "data": [1]}],
        }
    ).encode(),
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_answer_to_the_rows_is_not_counted_as_one(body: bytes) -> None:
    comparison = Comparison(spec("multiclass"))

    with pytest.raises(UnreadableError):
        comparison.compare(Labelled(labels=["setosa", "setosa"], scores=[0.9, 0.9]), body)
    assert comparison.counts == {}


def test_a_number_of_another_type_is_no_number() -> None:
    with pytest.raises(UnreadableError):
        compared("regression", Labelled(labels=[9.0], scores=None), one("nine", None))


def test_the_releases_that_are_kept_apart_are_bounded_and_the_oldest_goes() -> None:
    comparison = Comparison(spec("multiclass"))

    for number in range(5):
        comparison.compare(Labelled(labels=["setosa"], scores=[0.9]), one("setosa", 0.9, f"iris-000{number}"))

    assert list(comparison.counts) == ["iris-0003", "iris-0004"]
    assert len(comparison.counts) == MAX_VERSIONS
