import numpy as np
import pytest

from ml.evaluation import difference
from ml.evaluation.difference import Answers, prediction_diff

RNG = np.random.default_rng(9)
X = RNG.normal(size=(5000, 3)).astype(np.float32)


def _binary(chance, threshold=0.5):
    return Answers(predictions=(chance >= threshold).astype(int), probabilities=np.stack([1 - chance, chance], axis=1))


def test_a_model_differs_from_itself_in_nothing():
    same = _binary(RNG.uniform(size=5000))

    found = prediction_diff(X, same, same)

    assert (found["rows"], found["flip_rate"]) == (2000, 0)
    assert found["score_shift"] == {"mean": 0, "mean_absolute": 0, "p95_absolute": 0}


def test_the_frozen_requests_depend_on_the_rows_alone():
    one = prediction_diff(X, _binary(np.full(5000, 0.1)), _binary(np.full(5000, 0.9)))
    two = prediction_diff(X, _binary(np.full(5000, 0.2)), _binary(np.full(5000, 0.3)))

    assert one["requests_sha256"] == two["requests_sha256"]
    moved = X.copy()
    moved[difference.requests(len(X))[0], 0] += 1
    assert prediction_diff(moved, _binary(X[:, 0]), _binary(X[:, 0]))["requests_sha256"] != one["requests_sha256"]


def test_fewer_rows_than_requests_are_all_taken_once():
    assert difference.requests(7).tolist() == list(range(7))
    assert len(set(difference.requests(5000).tolist())) == 2000


def test_flips_and_shifts_are_counted_on_the_requests():
    before, after = np.full(10, 0.4), np.full(10, 0.4)
    after[:3] = 0.6

    found = prediction_diff(X[:10], _binary(after), _binary(before))

    assert found["flip_rate"] == pytest.approx(0.3)
    assert found["score_shift"]["mean"] == pytest.approx(0.06)
    assert found["score_shift"]["p95_absolute"] == pytest.approx(0.2)


def test_another_threshold_flips_answers_without_a_shift():
    chance = np.linspace(0, 1, 100)

    found = prediction_diff(X[:100], _binary(chance, 0.4), _binary(chance, 0.6))

    assert found["flip_rate"] == pytest.approx(0.2)
    assert found["score_shift"]["mean_absolute"] == 0


def test_multiclass_shifts_are_the_greatest_of_any_class():
    before = Answers(predictions=np.array(["a"]), probabilities=np.array([[0.6, 0.3, 0.1]]))
    after = Answers(predictions=np.array(["b"]), probabilities=np.array([[0.2, 0.7, 0.1]]))

    found = prediction_diff(X[:1], after, before)

    assert found["flip_rate"] == 1
    assert found["score_shift"] == {
        "mean": None,
        "mean_absolute": pytest.approx(0.4),
        "p95_absolute": pytest.approx(0.4),
    }


def test_a_regression_flips_where_it_moves_by_more_than_a_tenth_of_the_spread():
    before = np.array([0.0, 10.0, 20.0, 30.0])
    after = before + np.array([0.5, -2.0, 0.0, 1.1])  # the spread is 11.18

    found = prediction_diff(
        X[:4], Answers(predictions=after, probabilities=None), Answers(predictions=before, probabilities=None)
    )

    assert found["flip_rate"] == pytest.approx(0.25)
    assert found["score_shift"]["mean"] == pytest.approx(-0.1)
