import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from ml.data.schema import encode_rows
from ml.errors import ConfigError, DataError
from ml.evaluation.metrics import evaluate
from ml.evaluation.score import score
from ml.problem import by_package
from ml.training import export
from ml.training.run import train
from tests.ml.release.tiny import measure
from tests.ml.training.toy import problem, table

pytestmark = pytest.mark.integration


@pytest.fixture
def run(tmp_path):
    def call(toy=None, through="2013-02", **options):
        folders = {"out": tmp_path / "out", "cached": tmp_path / "cache"}
        return train(toy or problem(), through, **{**folders, "measure": measure, **options})

    return call


def test_a_candidate_holds_what_a_record_needs(run):
    candidate = run()

    assert candidate.data["train"] == {"from": "2013-01-01", "to": "2013-02-03", "rows": 120}
    assert candidate.data["test"] == {"from": "2013-03-01", "to": "2013-03-03", "rows": 60}
    assert set(candidate.metrics) == {"accuracy", "precision", "recall", "f1", "roc_auc", "log_loss"}
    assert candidate.parameters["through"] == "2013-02"
    assert candidate.parameters["C"] == 1.0
    assert candidate.model["parity_rows"] == 60
    for name, path in (("model.onnx", candidate.model_path), ("serving.json", candidate.serving_path)):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == candidate.files[name]
    assert candidate.model["bytes"] == candidate.model_path.stat().st_size
    assert candidate.reference.about["rows"] == len(candidate.reference.x) == candidate.data["train"]["rows"]
    json.dumps([candidate.data, candidate.parameters, candidate.model, candidate.environment], allow_nan=False)


def test_the_metrics_are_those_of_the_model_file_on_the_test_rows(run):
    candidate = run()
    serving = json.loads(candidate.serving_path.read_text())

    predictions, probabilities = score(candidate.model_path, serving, candidate.test_features)

    assert candidate.metrics == evaluate("binary", candidate.test_labels, predictions, probabilities, classes=(0, 1))


def test_every_row_of_the_source_is_accounted_for(run):
    data = table()
    data.loc[:0, "heat"] = 999.0

    candidate = run(problem(data=data), through="2013-02")

    facts = candidate.data
    assert facts["dropped"] == {"heat:above_maximum": 1}
    assert facts["train"]["rows"] + facts["test"]["rows"] + sum(facts["dropped"].values()) == len(data)


def test_golden_rows_are_requests_whose_answers_the_model_gives(run):
    candidate = run()
    serving = json.loads(candidate.serving_path.read_text())
    golden = serving["golden"]

    predictions, probabilities = score(candidate.model_path, serving, encode_rows(problem().features, golden["rows"]))

    assert predictions.tolist() == golden["predictions"]
    np.testing.assert_allclose(probabilities, golden["probabilities"], atol=1e-6)
    assert {0, 1} == set(golden["predictions"])
    assert any(None in row for row in golden["rows"])


def test_the_threshold_predicts_as_many_as_there_are_on_the_training_rows(run):
    data = table()
    data.loc[:, "hot"] = (data["heat"] + np.random.default_rng(1).normal(size=len(data)) > 1.5).astype(float)
    candidate = run(problem(data=data))
    serving = json.loads(candidate.serving_path.read_text())
    train_rows = data[data["when"].dt.month <= 2]
    x = encode_rows(problem().features, train_rows[["heat", "kind"]].to_numpy().tolist())

    predictions, _ = score(candidate.model_path, serving, x)

    assert serving["threshold"] < 0.45
    assert abs(int(predictions.sum()) - int(train_rows["hot"].sum())) <= 1


def test_the_users_own_threshold_is_taken(run):
    assert json.loads(run(problem(threshold=0.9)).serving_path.read_text())["threshold"] == 0.9


def test_an_identical_training_is_reused_and_gives_the_same_candidate(run):
    first, second = run(), run()

    assert (first.reused, second.reused) == (False, True)
    assert first.files == second.files
    assert first.metrics == second.metrics
    assert first.parameters == second.parameters


@pytest.mark.parametrize("change", ["data", "seed", "month"])
def test_other_data_another_seed_or_month_is_another_training(run, change):
    run(through="2013-01")

    other = {
        "data": lambda: run(problem(data=table(seed=9)), through="2013-01"),
        "seed": lambda: run(through="2013-01", seed=5),
        "month": lambda: run(through="2013-02"),
    }[change]()

    assert not other.reused


def test_other_code_is_another_training(run, monkeypatch):
    run()
    monkeypatch.setattr("ml.training.lineage.tree_sha256", lambda _package: "0" * 64)

    assert not run().reused


def test_a_damaged_cache_entry_is_trained_again_to_the_same_bytes(run, tmp_path):
    first = run()
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_bytes(entry.read_bytes()[:-1] + b"\0")

    again = run()

    assert (again.reused, again.files) == (False, first.files)


def test_each_step_is_named_as_it_starts(run, monkeypatch, tmp_path):
    monkeypatch.setenv("MLP_PREPARED", str(tmp_path / "prepared"))
    steps = []

    run(progress=steps.append)

    assert [step.split()[0] for step in steps] == ["load", "check", "check", "fit"]


def test_a_class_without_training_rows_is_refused(run):
    data = table()
    data.loc[data["when"].dt.month <= 2, "hot"] = 0.0

    with pytest.raises(DataError, match="ML-TRAIN-007: class 1 has 0 training rows"):
        run(problem(data=data))


def test_a_label_that_is_no_class_is_refused(run):
    data = table()
    data.loc[3, "hot"] = 2.0

    with pytest.raises(DataError, match="ML-TRAIN-008"):
        run(problem(data=data))


def test_classes_out_of_order_are_refused_because_probabilities_would_be_swapped(run):
    with pytest.raises(ConfigError, match="ML-TRAIN-006"):
        run(problem(classes=(1, 0)))


def test_a_regression_goes_the_same_way(run):
    toy = problem(kind="regression", classes=(), estimator=lambda _seed: LinearRegression())

    candidate = run(toy)

    assert set(candidate.metrics) == {"rmse", "mae", "r2"}
    assert json.loads(candidate.serving_path.read_text())["golden"]["probabilities"] is None


def test_another_process_with_other_hash_seed_and_threads_makes_the_same_bytes(tmp_path):
    code = (
        "import json, sys; from pathlib import Path; from ml.training.run import train\n"
        "from ml.problem import by_package\n"
        "out = Path(sys.argv[1])\n"
        "print(json.dumps(train(by_package('tests.problems.iris'), None, out=out, cached=out / 'cache').files))"
    )
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2", "PYTHONPATH": str(root)}

    here = train(by_package("tests.problems.iris"), None, out=tmp_path / "here", cached=tmp_path / "cache")
    command = [sys.executable, "-c", code, str(tmp_path / "there")]
    there = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    assert json.loads(there) == here.files


@pytest.mark.parametrize("reverse", [False, True])
def test_the_bytes_do_not_depend_on_the_order_in_which_the_converter_lists_its_domains(monkeypatch, reverse):
    convert = export.convert_sklearn

    def shuffled(*args, **options):
        model = convert(*args, **options)
        entries = sorted(((o.domain, o.version) for o in model.opset_import), reverse=reverse)
        del model.opset_import[:]
        for domain, version in entries:
            model.opset_import.add(domain=domain, version=version)
        return model

    rows = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    fitted = LogisticRegression().fit(rows, rows[:, 0] > 0)
    plain = export.to_onnx(fitted, name="m", n_columns=2)
    monkeypatch.setattr(export, "convert_sklearn", shuffled)

    assert export.to_onnx(fitted, name="m", n_columns=2) == plain
