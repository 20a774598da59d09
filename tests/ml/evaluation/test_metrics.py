import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from ml.evaluation.metrics import evaluate, roc_auc

SEEDS = st.integers(0, 2**32 - 1)


def _case(seed, n_classes):
    """Rows with ties in the probabilities and, often, a class that nobody predicted."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(n_classes * 2, 80))
    labels = rng.permutation(np.resize(np.arange(n_classes), rows))
    scores = rng.integers(1, 6, size=(rows, n_classes)).astype(float)
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    predictions = rng.integers(0, int(rng.integers(1, n_classes + 1)), rows)
    return labels, predictions, probabilities


@settings(deadline=None)
@given(SEEDS)
def test_binary_metrics_are_those_of_scikit_learn(seed):
    labels, predictions, probabilities = _case(seed, 2)

    got = evaluate("binary", labels, predictions, probabilities)

    assert got == pytest.approx(
        {
            "accuracy": reference.accuracy_score(labels, predictions),
            "precision": reference.precision_score(labels, predictions, zero_division=0),
            "recall": reference.recall_score(labels, predictions),
            "f1": reference.f1_score(labels, predictions),
            "roc_auc": reference.roc_auc_score(labels, probabilities[:, 1]),
            "log_loss": reference.log_loss(labels, probabilities),
        }
    )


@settings(deadline=None)
@given(SEEDS, st.integers(3, 5))
def test_multiclass_metrics_are_the_weighted_ones_of_scikit_learn(seed, n_classes):
    labels, predictions, probabilities = _case(seed, n_classes)
    names = np.array(["a", "b", "c", "d", "e"])[:n_classes]

    got = evaluate("multiclass", names[labels], names[predictions], probabilities, classes=names.tolist())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weighted = {"average": "weighted", "zero_division": 0}
        want = {
            "accuracy": reference.accuracy_score(labels, predictions),
            "precision": reference.precision_score(labels, predictions, **weighted),
            "recall": reference.recall_score(labels, predictions, **weighted),
            "f1": reference.f1_score(labels, predictions, **weighted),
            "roc_auc": reference.roc_auc_score(labels, probabilities, multi_class="ovr", average="weighted"),
            "log_loss": reference.log_loss(labels, probabilities),
        }
    assert got == pytest.approx(want)


@settings(deadline=None)
@given(SEEDS)
def test_regression_metrics_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth, guess = rng.normal(size=(2, int(rng.integers(2, 50))))

    got = evaluate("regression", truth, guess, None)

    assert got == pytest.approx(
        {
            "rmse": reference.root_mean_squared_error(truth, guess),
            "mae": reference.mean_absolute_error(truth, guess),
            "r2": reference.r2_score(truth, guess),
        }
    )


@given(SEEDS)
def test_roc_auc_of_the_opposite_scores_is_the_complement(seed):
    labels, _, probabilities = _case(seed, 2)

    assert roc_auc(labels == 1, probabilities[:, 1]) == pytest.approx(1 - roc_auc(labels == 1, -probabilities[:, 1]))


def test_one_class_only_has_no_roc_auc():
    got = evaluate("binary", np.array([1, 1]), np.array([1, 1]), np.array([[0.2, 0.8], [0.4, 0.6]]), classes=(0, 1))

    assert math.isnan(got["roc_auc"])
    assert got["accuracy"] == 1.0


def test_a_nan_probability_makes_the_metrics_that_read_it_nan():
    got = evaluate("binary", np.array([0, 1]), np.array([0, 1]), np.array([[0.9, 0.1], [np.nan, np.nan]]))

    assert math.isnan(got["roc_auc"])
    assert math.isnan(got["log_loss"])


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_no_rows_have_no_metrics(kind):
    empty = np.array([], dtype=int)

    got = evaluate(kind, empty, empty, np.empty((0, 2)), classes=(0, 1))

    assert all(math.isnan(value) for value in got.values())


def test_a_certain_miss_costs_a_lot_and_stays_finite():
    got = evaluate("binary", np.array([0, 1]), np.array([1, 0]), np.array([[0.0, 1.0], [1.0, 0.0]]))

    assert 30 < got["log_loss"] < 40


@pytest.mark.parametrize(
    ("labels", "predictions", "probabilities", "words"),
    [
        ([0, 1], [0], [[1, 0], [0, 1]], "2 labels and 1 predictions"),
        ([0, 1], [0, 1], [[1, 0]], "must be"),
        ([0, 2], [0, 1], [[1, 0], [0, 1]], "label 2: must be one of"),
        ([0, 1], [0, 7], [[1, 0], [0, 1]], "label 7: must be one of"),
    ],
)
def test_shapes_and_labels_that_do_not_fit_are_refused(labels, predictions, probabilities, words):
    with pytest.raises(ValueError, match=words):
        evaluate("binary", np.array(labels), np.array(predictions), np.array(probabilities, float), classes=(0, 1))
