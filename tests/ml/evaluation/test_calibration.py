import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from ml.evaluation import calibration

RNG = np.random.default_rng(5)
CHANCES = RNG.beta(2, 4, size=20_000)


def test_a_calibrated_model_shows_what_chance_alone_would():
    truth = RNG.uniform(size=len(CHANCES)) < CHANCES

    summary, bins = calibration.binary(truth, CHANCES)

    assert summary["error"] == pytest.approx(summary["error_by_chance"], rel=0.6)
    assert summary["brier"] == pytest.approx(brier_score_loss(truth, CHANCES), abs=1e-6)
    assert len(bins) == calibration.BINS
    assert sum(part["rows"] for part in bins) == len(CHANCES)
    assert all(abs(part["predicted"] - part["observed"]) < 4.5 * part["standard_error"] for part in bins)


def test_a_model_that_is_too_sure_has_an_error_far_above_chance():
    truth = RNG.uniform(size=len(CHANCES)) < 0.5 + (CHANCES - 0.5) / 2

    summary, _ = calibration.binary(truth, CHANCES)

    assert summary["error"] > 10 * summary["error_by_chance"]
    assert summary["error"] == pytest.approx(float(np.abs((CHANCES - 0.5) / 2).mean()), abs=0.01)


def test_the_error_is_the_weighted_gap_of_the_bins():
    truth = np.array([True, False, True, True])

    summary, bins = calibration.binary(truth, np.array([0.2, 0.4, 0.6, 0.8]))

    assert [part["rows"] for part in bins] == [1, 1, 1, 1]
    assert summary["error"] == pytest.approx((0.8 + 0.4 + 0.4 + 0.2) / 4)
    assert bins[0]["standard_error"] is None


def test_multiclass_judges_the_likeliest_class_and_sums_brier_over_the_classes():
    chances = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3]])

    summary, _ = calibration.multiclass(np.array([0, 2]), chances)

    first = 0.3**2 + 0.2**2 + 0.1**2
    second = 0.2**2 + 0.5**2 + 0.7**2
    assert summary["brier"] == pytest.approx((first + second) / 2)
    assert summary["error"] == pytest.approx((0.3 + 0.5) / 2)


def test_a_regression_that_is_off_says_by_how_much_and_how_sure_that_is():
    labels = RNG.normal(size=5000)

    summary, bins = calibration.regression(labels, labels + 0.5 + RNG.normal(size=5000) * 0.1)

    assert summary["residual_mean"] == pytest.approx(0.5, abs=0.01)
    assert summary["residual_standard_error"] == pytest.approx(0.1 / 5000**0.5, rel=0.1)
    assert summary["slope"] == pytest.approx(1 / 1.01, abs=0.01)
    assert bins[0]["observed"] < bins[-1]["observed"]


def test_predictions_that_are_too_extreme_have_a_slope_below_one():
    labels = RNG.normal(size=1000)

    assert calibration.regression(labels, labels * 2)[0]["slope"] == pytest.approx(0.5)


def test_equal_predictions_have_no_slope_and_one_row_has_no_error():
    assert calibration.regression(np.array([1.0, 2.0]), np.array([3.0, 3.0]))[0]["slope"] is None
    assert calibration.regression(np.array([1.0]), np.array([3.0]))[0]["residual_standard_error"] is None
