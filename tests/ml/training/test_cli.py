from dataclasses import replace

import pytest

from ml.cli import main


@pytest.fixture(autouse=True)
def iris(monkeypatch, tmp_path):
    monkeypatch.setenv("MLP_PROBLEM", "tests.problems.iris")
    monkeypatch.setattr("ml.training.run.cache_folder", lambda: tmp_path / "cache")


def test_train_prints_the_metrics_and_where_the_model_lies(tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "out")]) == 0

    printed = capsys.readouterr().out
    assert "iris: trained on 119 rows, judged on 30 rows" in printed
    assert "95% interval" in printed
    assert "calibration: expected error 0." in printed
    assert "one prediction: " in printed
    assert all(word in printed for word in ("accuracy", "log_loss", "roc_auc", str(tmp_path / "out" / "model.onnx")))


def test_train_says_when_it_reused_an_earlier_training(tmp_path, capsys):
    main(["train", "--out", str(tmp_path / "out")])
    main(["train", "--out", str(tmp_path / "out")])

    assert "reused an identical training in" in capsys.readouterr().out


def test_train_with_a_month_for_a_problem_without_time_is_wrong_usage(tmp_path, capsys):
    assert main(["train", "--through", "2013-06", "--out", str(tmp_path)]) == 2
    assert "ML-TRAIN-002" in capsys.readouterr().err


def test_a_sampler_that_does_not_exist_is_wrong_usage(tmp_path, capsys):
    assert main(["train", "--sampler", "grid", "--out", str(tmp_path)]) == 2
    assert "ML-TRAIN-018: sampler 'grid': must be one of halton, random, tpe" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "no json", "[]", '{"best": {}}', '{"best": {"parameters": 3}}'])
def test_a_file_without_a_search_is_wrong_usage(tmp_path, capsys, content):
    file = tmp_path / "search.json"
    if content is not None:
        file.write_text(content)

    assert main(["train", "--search", str(file), "--out", str(tmp_path)]) == 2
    assert "ML-TRAIN-018" in capsys.readouterr().err


def test_validate_prints_where_every_row_went(capsys):
    assert main(["data", "validate"]) == 0

    printed = capsys.readouterr().out
    assert "dropped: duplicate" in printed
    assert "149" in printed


def test_validate_prints_the_ledger_and_ends_with_4_when_the_table_is_at_fault(capsys, monkeypatch):
    import tests.problems.iris.problem as iris_module  # noqa: PLC0415  (patched for this test only)

    broken = iris_module.load(None, None).assign(petal_width=-1.0)
    monkeypatch.setattr(iris_module, "PROBLEM", replace(iris_module.PROBLEM, load=lambda *_months: broken))

    assert main(["data", "validate"]) == 4
    printed = capsys.readouterr()
    assert "rejected: petal_width:below_minimum" in printed.out
    assert "ML-DATA-004" in printed.err
    assert "petal_width:below_minimum (144 rows)" in printed.err


def test_fetch_names_the_snapshot(capsys):
    assert main(["data", "fetch"]) == 0
    assert "150 rows, 5 columns, snapshot " in capsys.readouterr().out


@pytest.mark.parametrize("words", [["train"], ["data"], ["data", "fetch"], ["data", "validate"]])
def test_help_shows_an_example(words, capsys):
    assert main([*words, "--help"]) == 0
    assert "mlp " + " ".join(words) in capsys.readouterr().out
