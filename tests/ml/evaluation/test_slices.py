import numpy as np
import pandas as pd
import pytest

from ml.errors import ConfigError
from ml.evaluation import slices
from ml.evaluation.difference import Answers
from ml.evaluation.metrics import evaluate

TABLE = pd.DataFrame({"origin": ["b", "a", None, "a"], "minute": [0.0, 600.0, 1430.0, np.nan]})


def _values(by, table=TABLE):
    return {part.value: part.rows.tolist() for part in slices.of({"s": by}, table)}


def test_a_column_cuts_by_its_values_and_a_missing_one_is_a_slice():
    assert _values("origin") == {"(missing)": [2], "a": [1, 3], "b": [0]}


def test_a_function_of_the_table_cuts_as_well():
    assert _values(lambda t: np.where(t["minute"] < 720, "morning", "later")) == {"later": [2, 3], "morning": [0, 1]}


def test_whole_numbers_are_written_without_a_point():
    assert list(_values("minute")) == ["(missing)", "0", "1430", "600"]


def test_each_slice_cuts_all_rows_anew():
    found = slices.of({"origin": "origin", "minute": "minute"}, TABLE)

    for column in ("origin", "minute"):
        rows = np.concatenate([part.rows for part in found if part.column == column])
        assert sorted(rows.tolist()) == [0, 1, 2, 3]


def test_the_rarest_of_many_values_are_one_slice():
    table = pd.DataFrame({"n": np.repeat(np.arange(100), np.arange(1, 101))})

    found = _values("n", table)

    assert len(found) == slices.MAX_SLICES
    assert len(found[slices.REST]) == sum(range(1, 72))
    assert "99" in found
    assert "5" not in found


@pytest.mark.parametrize(
    ("by", "why"), [("gone", "no column 'gone'; the table has: origin, minute"), (lambda t: t["minute"][:2], "shape")]
)
def test_a_slice_that_does_not_fit_the_table_is_refused(by, why):
    with pytest.raises(ConfigError, match=why) as refused:
        slices.of({"s": by}, TABLE)
    assert refused.value.code == "ML-EVAL-001"


RNG = np.random.default_rng(4)
LABELS = RNG.integers(0, 2, size=300)
CHANCES = np.clip(LABELS * 0.4 + RNG.uniform(0, 0.6, size=300), 0.01, 0.99)
GROUP = pd.DataFrame({"g": np.repeat(["a", "b", "c"], 100)})


def _answers(chances):
    return Answers(predictions=(chances > 0.5).astype(int), probabilities=np.stack([1 - chances, chances], axis=1))


def _truth(metric, labels=LABELS):
    return slices.Truth(kind="binary", labels=labels, classes=(0, 1), metric=metric)


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "log_loss", "f1"])
def test_each_slice_has_the_metric_of_its_own_rows(metric):
    found = slices.section(slices.of({"g": "g"}, GROUP), _truth(metric), _answers(CHANCES), 0.95)

    for place, entry in enumerate(found["columns"]["g"]):
        rows = slice(100 * place, 100 * place + 100)
        part = _answers(CHANCES[rows])
        whole = evaluate("binary", LABELS[rows], part.predictions, part.probabilities, classes=(0, 1))
        assert entry["estimate"] == pytest.approx(whole[metric])
        assert entry["low"] < entry["estimate"] < entry["high"]
        assert entry["rows"] == 100
    assert [entry["value"] for entry in found["columns"]["g"]] == ["a", "b", "c"]


def test_a_metric_that_means_nothing_for_a_slice_is_null_and_not_a_guess():
    found = slices.section(slices.of({"g": "g"}, GROUP), _truth("roc_auc", np.ones(300, int)), _answers(CHANCES), 0.95)

    assert [entry["estimate"] for entry in found["columns"]["g"]] == [None, None, None]


def test_a_regression_is_sliced_by_its_error():
    labels, guesses = np.arange(4.0), np.array([0.0, 1.0, 4.0, 5.0])
    truth = slices.Truth(kind="regression", labels=labels, classes=(), metric=slices.metric_of("regression", None))
    parts = slices.of({"s": "s"}, pd.DataFrame({"s": ["x", "x", "y", "y"]}))

    found = slices.section(parts, truth, Answers(predictions=guesses, probabilities=None), 0.95)

    assert found["metric"] == "mae"
    assert [entry["estimate"] for entry in found["columns"]["s"]] == [0, 2]


def test_the_comparison_is_candidate_minus_champion_on_the_slices_rows():
    better = np.where(GROUP["g"] == "b", LABELS * 0.98 + 0.01, CHANCES)

    found = slices.compared(slices.of({"g": "g"}, GROUP), _truth("accuracy"), _answers(better), _answers(CHANCES))[
        "columns"
    ]["g"]

    assert [entry["difference"] for entry in found[::2]] == [0, 0]
    assert [entry["standard_error"] for entry in found[::2]] == [0, 0]
    hits = (CHANCES[100:200] > 0.5) == LABELS[100:200]
    assert found[1]["difference"] == pytest.approx(1 - hits.mean())
    assert found[1]["standard_error"] == pytest.approx(hits.std(ddof=1) / 10)


def test_one_row_has_no_spread():
    parts = slices.of({"g": "g"}, pd.DataFrame({"g": ["a"]}))

    found = slices.compared(parts, _truth("accuracy", LABELS[:1]), _answers(CHANCES[:1]), _answers(CHANCES[:1]))

    assert found["columns"]["g"][0]["standard_error"] is None


def test_a_slice_metric_that_the_kind_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="slice_metric='accuracy': a regression problem has mae, rmse, r2") as refused:
        slices.metric_of("regression", "accuracy")
    assert refused.value.code == "ML-EVAL-003"
