import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score, roc_curve

from ml.evaluation import curves

RNG = np.random.default_rng(3)
SCORES = RNG.normal(size=4000).round(2)  # many ties
POSITIVE = SCORES + RNG.normal(size=4000) > 0.7


def _distance(points, x, y):
    """Of each (x, y) from the line through the points."""
    line = np.asarray(points)
    starts, stops = line[:-1], line[1:]
    along = stops - starts
    length = (along**2).sum(axis=1)
    places = np.stack([x, y], axis=1)[:, None, :] - starts[None]
    t = np.clip((places * along).sum(axis=2) / np.where(length == 0, 1, length), 0, 1)
    return np.hypot(*np.moveaxis(places - t[..., None] * along, 2, 0)).min(axis=1)


def test_the_roc_curve_is_scikit_learns_within_the_stated_error():
    found = curves.roc(POSITIVE, SCORES)
    x, y, _ = roc_curve(POSITIVE, SCORES)

    assert len(found["points"]) <= curves.MAX_POINTS
    assert found["points"][0] == [0, 0]
    assert found["points"][-1] == [1, 1]
    assert found["area"] == pytest.approx(roc_auc_score(POSITIVE, SCORES), abs=1e-6)
    assert _distance(found["points"], x, y).max() <= found["max_error"] + 2e-6
    assert 0 < found["max_error"] < 0.005


def test_the_precision_recall_area_is_scikit_learns_average_precision():
    found = curves.precision_recall(POSITIVE, SCORES)

    assert found["area"] == pytest.approx(average_precision_score(POSITIVE, SCORES), abs=1e-6)
    assert len(found["points"]) <= curves.MAX_POINTS
    assert found["points"][-1] == [1, pytest.approx(POSITIVE.mean(), abs=1e-6)]


def test_a_perfect_score_has_the_corner_and_no_error():
    positive = np.array([False, True, True])

    found = curves.roc(positive, np.array([0.1, 0.8, 0.9]))

    assert found["area"] == 1
    assert [0, 1] in found["points"]
    assert found["max_error"] == 0


def test_a_constant_score_is_the_diagonal():
    found = curves.roc(np.array([False, True]), np.array([0.5, 0.5]))

    assert found == {"points": [[0, 0], [1, 1]], "area": 0.5, "max_error": 0}


@pytest.mark.parametrize("positive", [[True, True], [False, False]])
def test_one_kind_of_rows_has_no_roc_curve(positive):
    assert curves.roc(np.array(positive), np.array([0.1, 0.2])) is None


def test_without_a_positive_row_there_is_no_precision_recall_curve():
    assert curves.precision_recall(np.array([False]), np.array([0.1])) is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=300),
    st.integers(min_value=2, max_value=20),
)
def test_a_thinned_line_never_lies_about_its_error(rows, most):
    y = np.cumsum([positive for positive, _ in rows]).astype(float)
    x = np.cumsum([step for _, step in rows])

    kept, error = curves.thin(x, y, most)

    assert len(kept) <= max(most, 2)
    assert {0, len(x) - 1} <= set(kept.tolist())
    assert _distance(np.stack([x, y], axis=1)[kept], x, y).max() <= error + 1e-9


def test_more_points_never_make_the_error_greater():
    x = np.linspace(0, 1, 500)
    y = np.sqrt(x)

    errors = [curves.thin(x, y, most)[1] for most in (2, 5, 20, 80)]

    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3


def test_confusion_rows_are_true_and_columns_predicted():
    labels, guesses = np.array(["a", "a", "b", "c"]), np.array(["a", "b", "b", "b"])

    found = curves.confusion(labels, guesses, ("a", "b", "c"))

    assert found["counts"] == confusion_matrix(labels, guesses, labels=["a", "b", "c"]).tolist()
    assert sum(map(sum, found["counts"])) == 4


def test_a_histogram_counts_every_row_once():
    values = RNG.uniform(size=1000)
    groups = RNG.integers(0, 2, size=1000)

    found = curves.histogram(values, groups, ["no", "yes"], (0.0, 1.0))

    assert len(found["edges"]) == curves.HISTOGRAM_BINS + 1
    assert {name: sum(rows) for name, rows in found["counts"].items()} == {
        "no": int((groups == 0).sum()),
        "yes": int((groups == 1).sum()),
    }


def test_residuals_are_prediction_minus_label():
    found = curves.residuals(np.zeros(101), np.arange(101.0))

    assert found["quantiles"][4] == [0.5, 50]
    assert sum(found["histogram"]["counts"]["rows"]) == 99  # all but the outer 2 %


def test_residuals_that_are_all_equal_have_a_histogram_as_well():
    assert sum(curves.residuals(np.zeros(5), np.ones(5))["histogram"]["counts"]["rows"]) == 5
