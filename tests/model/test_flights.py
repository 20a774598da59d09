"""The reference model as it would be released: trained to June and, as its successor, to July."""

import json

import numpy as np
import pytest

from ml.data.schema import encode_rows
from ml.evaluation.metrics import evaluate
from ml.evaluation.score import score
from ml.flights.problem import PROBLEM
from ml.training.export import MAX_PARITY_DIFF
from ml.training.run import train
from tests.model.candidates import FIRST, SECOND, candidate

pytestmark = pytest.mark.integration

MAX_BYTES = 1_000_000  # it is committed
FLOORS = {"accuracy": 0.65, "precision": 0.4, "recall": 0.5, "f1": 0.45, "roc_auc": 0.7}


@pytest.mark.parametrize("through", [FIRST, SECOND])
def test_the_model_is_better_than_its_floors(through):
    metrics = candidate(through).metrics

    assert {name for name, floor in FLOORS.items() if not metrics[name] >= floor} == set()
    assert metrics["log_loss"] < 0.6


def test_it_beats_guessing_the_share_of_late_flights():
    found = candidate()
    share = found.test_labels.mean()

    assert found.metrics["log_loss"] < -(share * np.log(share) + (1 - share) * np.log(1 - share))


def test_the_second_release_is_no_metric_worse_than_the_first_on_the_same_rows():
    champion, second = candidate(FIRST), candidate(SECOND)
    serving = json.loads(champion.serving_path.read_text())

    predictions, probabilities = score(champion.model_path, serving, second.test_features)
    before = evaluate("binary", second.test_labels, predictions, probabilities, classes=PROBLEM.classes)

    worse = {name: before[name] - second.metrics[name] for name in before}
    worse["log_loss"] = -worse["log_loss"]
    assert max(worse.values()) <= 0.05


def test_it_is_trained_to_june_and_judged_on_july():
    data = candidate().data

    assert (data["train"]["from"], data["train"]["to"]) == ("2013-01-01", "2013-06-30")
    assert (data["test"]["from"], data["test"]["to"]) == ("2013-07-01", "2013-07-31")
    assert data["train"]["rows"] + data["test"]["rows"] + sum(data["dropped"].values()) == 195_583


def test_onnx_and_estimator_agree_on_every_test_row():
    model = candidate().model

    assert model["parity_max_abs_diff"] <= MAX_PARITY_DIFF
    assert model["parity_rows"] == candidate().data["test"]["rows"]


def test_the_model_is_small_enough_to_be_committed():
    assert candidate().model["bytes"] < MAX_BYTES


def test_training_again_without_the_cache_gives_the_same_bytes_and_metrics(tmp_path):
    first = candidate()

    again = train(PROBLEM, FIRST, out=tmp_path / "out", cached=tmp_path / "cache")

    assert not again.reused
    assert again.files == first.files
    assert again.metrics == first.metrics


def test_golden_rows_cover_both_answers_missing_values_and_unknown_categories():
    serving = json.loads(candidate().serving_path.read_text())
    golden = serving["golden"]

    predictions, probabilities = score(candidate().model_path, serving, encode_rows(PROBLEM.features, golden["rows"]))

    assert 5 <= len(golden["rows"]) <= 6
    assert set(golden["predictions"]) == {0, 1}
    assert any(None in row for row in golden["rows"])
    assert predictions.tolist() == golden["predictions"]
    np.testing.assert_allclose(probabilities, golden["probabilities"], atol=1e-6)


def test_the_reference_has_every_measured_feature_and_every_training_row():
    serving = json.loads(candidate().serving_path.read_text())

    assert set(serving["reference"]) == {f.name for f in PROBLEM.features if f.drift != "ignore"}
    for entry in serving["reference"].values():
        # The last count of a category is that of the missing ones; a number has a field for it.
        missing = 0 if "categories" in entry else entry["missing"]
        assert sum(entry["counts"]) + missing == entry["rows"] == candidate().data["train"]["rows"]
