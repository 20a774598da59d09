"""What is measured, not how fast: figures differ between machines and stand in no assertion."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from ml.errors import PipelineError
from ml.evaluation import runtime
from ml.training.export import to_onnx

X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
MODEL = to_onnx(LogisticRegression().fit(X, X[:, 0] > 0), name="m", n_columns=3)
FIGURES = {"p50_ms_1_row", "p99_ms_1_row", "us_per_row_32", "peak_rss_mib"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "CALLS", 30)
    monkeypatch.setattr(runtime, "ROUNDS", 2)

    def make(model, serving, rows):
        (tmp_path / "model.onnx").write_bytes(model)
        (tmp_path / "serving.json").write_text(json.dumps(serving))
        np.save(tmp_path / "rows.npy", rows)
        return tmp_path

    return make


@pytest.mark.parametrize("rows", [1, 31, 300])
def test_every_figure_is_there_and_possible_whatever_the_number_of_rows(folder, rows):
    found = runtime.main(folder(MODEL, {"transform": None, "kind": "binary"}, X[:rows]))

    assert set(found) == FIGURES
    assert 0 < found["p50_ms_1_row"] <= found["p99_ms_1_row"]
    assert found["us_per_row_32"] > 0
    assert found["peak_rss_mib"] >= 0


def test_a_regression_is_measured_as_well(folder):
    model = to_onnx(LinearRegression().fit(X, X[:, 0]), name="m", n_columns=3)

    assert set(runtime.main(folder(model, {"transform": None, "kind": "regression"}, X))) == FIGURES


def test_the_peak_is_that_since_the_reset():
    before = runtime.reset_peak_rss()
    grown = np.ones(64 * 2**20, dtype=np.uint8)
    assert grown.sum() == 64 * 2**20
    del grown

    assert runtime.peak_rss() - before > 60 * 2**20


def test_a_process_of_its_own_measures_the_model():
    found = runtime.measure(MODEL, {"transform": None, "kind": "binary"}, X)

    assert set(found) == {"bytes", *FIGURES}
    assert found["bytes"] == len(MODEL)


def test_a_model_that_cannot_be_run_says_why():
    with pytest.raises(PipelineError, match=r"ML-EVAL-002.*exit code 1"):
        runtime.measure(b"no model", {"transform": None, "kind": "binary"}, X)
