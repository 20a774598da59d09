import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from ml.evaluation import score as module
from ml.evaluation.score import decide, score
from ml.training.export import to_onnx

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3)).astype(np.float32)


def _serving(kind, **fields):
    return {"kind": kind, "transform": None, "classes": [], "threshold": None, **fields}


def test_a_binary_model_says_the_second_class_from_the_threshold_on():
    got = decide(np.array([[0.7, 0.3], [0.70001, 0.29999], [0.1, 0.9]], np.float32), ("early", "late"), 0.3)

    assert got.tolist() == ["late", "early", "late"]


def test_a_multiclass_model_says_the_likeliest_class():
    got = decide(np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]], np.float32), ("a", "b", "c"), None)

    assert got.tolist() == ["b", "a"]


def test_scores_equal_the_estimators(tmp_path):
    estimator = LogisticRegression().fit(X, X[:, 0] > 0)
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(estimator, name="m", n_columns=3))

    _, probabilities = score(path, _serving("binary", classes=[0, 1], threshold=0.5), X)

    np.testing.assert_allclose(probabilities, estimator.predict_proba(X), atol=1e-6)


def test_a_regression_model_has_predictions_only(tmp_path):
    estimator = LinearRegression().fit(X, X @ [1.0, 2.0, 3.0])
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(estimator, name="m", n_columns=3))

    predictions, probabilities = score(path, _serving("regression"), X)

    assert probabilities is None
    np.testing.assert_allclose(predictions, X @ [1.0, 2.0, 3.0], atol=1e-4)


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 200])
def test_blocks_do_not_change_the_result(tmp_path, monkeypatch, rows):
    estimator = LogisticRegression().fit(X, X[:, 0] > 0)
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(estimator, name="m", n_columns=3))
    serving = _serving("binary", classes=[0, 1], threshold=0.5)
    whole, _ = score(path, serving, X[:rows])

    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    pieces, _ = score(path, serving, X[:rows])

    assert len(pieces) == rows
    np.testing.assert_array_equal(whole, pieces)
