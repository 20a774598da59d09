import numpy as np
import onnx
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from ml.errors import PipelineError
from ml.training.export import parity, to_onnx

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3)).astype(np.float32)
CLASSIFIER = LogisticRegression().fit(X, X[:, 0] > 0)


def test_the_model_has_the_inputs_and_outputs_that_serving_expects():
    model = onnx.load_from_string(to_onnx(CLASSIFIER, name="m", n_columns=3))

    assert [entry.name for entry in model.graph.input] == ["features"]
    assert [entry.name for entry in model.graph.output] == ["label", "probabilities"]


def test_parity_counts_every_row():
    got = parity(CLASSIFIER, to_onnx(CLASSIFIER, name="m", n_columns=3), X)

    assert (got.rows, got.max_abs_diff < 1e-6) == (300, True)


def test_a_model_that_says_something_else_is_refused():
    other = LogisticRegression(C=0.01).fit(X, X[:, 0] > 0)

    with pytest.raises(PipelineError, match="ML-TRAIN-005"):
        parity(CLASSIFIER, to_onnx(other, name="m", n_columns=3), X)


def test_a_nan_is_no_parity():
    with pytest.raises(PipelineError, match="differ by nan"):
        parity(_NanClassifier().fit(X, X[:, 0] > 0), to_onnx(CLASSIFIER, name="m", n_columns=3), X)


class _NanClassifier(LogisticRegression):
    def predict_proba(self, X):  # noqa: N803  (scikit-learn's name)
        return super().predict_proba(X) * np.nan


@pytest.mark.parametrize("estimator", [LinearRegression(), HistGradientBoostingRegressor(max_iter=20)])
def test_a_regression_in_thousands_agrees_within_what_float32_can_hold(estimator):
    estimator.fit(X, X @ [1e3, 2e3, 3e3])

    assert parity(estimator, to_onnx(estimator, name="m", n_columns=3), X).rows == 300
