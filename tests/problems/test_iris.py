import json

import numpy as np
import pytest

from ml.data.schema import encode_rows
from ml.evaluation.score import score
from ml.problem import by_package
from ml.training.run import train
from tests.ml.release.tiny import measure


@pytest.fixture(scope="module")
def candidate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("iris")
    return train(by_package("tests.problems.iris"), None, out=folder / "out", cached=folder / "cache", measure=measure)


def test_another_problem_trains_through_the_same_code(candidate):
    assert candidate.kind == "multiclass"
    assert candidate.data["train"] == {"from": "unordered", "to": "unordered", "rows": 119}
    assert candidate.data["test"]["rows"] == 30
    assert candidate.data["dropped"] == {"duplicate": 1}  # iris has one
    assert candidate.metrics["accuracy"] > 0.85
    assert candidate.metrics["roc_auc"] > 0.95


def test_its_test_rows_have_as_many_of_each_class_as_the_whole(candidate):
    _, counts = np.unique(candidate.test_labels, return_counts=True)

    assert counts.tolist() == [10, 10, 10]


def test_a_plain_list_of_four_numbers_is_a_request(candidate):
    serving = json.loads(candidate.serving_path.read_text())
    problem = by_package("tests.problems.iris")

    predictions, probabilities = score(
        candidate.model_path, serving, encode_rows(problem.features, [[1.0, 2.0, 3.0, 4.0]])
    )

    assert predictions[0] in problem.classes
    assert probabilities.shape == (1, 3)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_its_serving_file_needs_neither_transform_nor_threshold(candidate):
    serving = json.loads(candidate.serving_path.read_text())

    assert (serving["transform"], serving["threshold"]) == (None, None)
    assert serving["classes"] == ["setosa", "versicolor", "virginica"]
    assert set(serving["golden"]["predictions"]) <= set(serving["classes"])
