import math

import numpy as np
import pytest

from ml.evaluation.difference import Answers
from ml.evaluation.metrics import Kind, evaluate
from ml.statistics.comparison import compare, is_usable
from ml.statistics.means import Difference, lower_bound
from ml.statistics.paired import first_copies, paired
from tests.ml.statistics.test_intervals import Rows, rows

KINDS: tuple[Kind, ...] = ("binary", "multiclass", "regression")


def two(kind: Kind, n: int = 500, seed: int = 0) -> tuple[Rows, Rows]:
    """Two models of the same rows; the second is a noisier first."""
    labels, predictions, chances = rows(kind, n, seed)
    random = np.random.default_rng(seed + 1)
    if chances is None:
        return (labels, predictions, None), (labels, predictions + 0.1 * random.normal(size=n), None)
    noisy = chances * np.exp(0.3 * random.normal(size=chances.shape))
    noisy /= noisy.sum(axis=1, keepdims=True)
    return (labels, predictions, chances), (labels, noisy.argmax(axis=1), noisy)


def _answers(model: Rows) -> Answers:
    return Answers(model[1], model[2])


def _classes(kind: Kind) -> list[int] | None:
    return None if kind == "regression" else list(range(2 if kind == "binary" else 3))


@pytest.mark.parametrize("kind", KINDS)
def test_differences_are_those_of_the_metrics_and_every_entry_can_be_compared(kind: Kind) -> None:
    ours, theirs = two(kind)
    found = paired(kind, ours[0], _answers(ours), _answers(theirs), classes=_classes(kind))
    mine, other = (evaluate(kind, *model, classes=_classes(kind)) for model in (ours, theirs))

    assert {n: e["difference"] for n, e in found.items()} == pytest.approx({n: mine[n] - other[n] for n in mine})
    assert all(is_usable(entry) for entry in found.values())


@pytest.mark.parametrize("kind", KINDS)
def test_standard_errors_are_those_of_a_bootstrap_of_the_pair(kind: Kind) -> None:
    ours, theirs = two(kind)
    found = paired(kind, ours[0], _answers(ours), _answers(theirs), classes=_classes(kind))
    random = np.random.default_rng(3)
    drawn = []
    for _ in range(500):
        index = random.integers(0, 500, 500)
        both = [[None if part is None else part[index] for part in model] for model in (ours, theirs)]
        mine, other = (evaluate(kind, a, b, c, classes=_classes(kind)) for a, b, c in both)  # type: ignore[arg-type]
        drawn.append([mine[name] - other[name] for name in found])

    errors = dict(zip(found, np.std(drawn, axis=0, ddof=1), strict=True))
    assert {name: entry["standard_error"] for name, entry in found.items()} == pytest.approx(errors, rel=0.12)


def test_the_same_model_has_no_difference_and_no_discordant_row() -> None:
    ours, _ = two("binary")
    found = paired("binary", ours[0], _answers(ours), _answers(ours), classes=[0, 1])

    assert {entry["difference"] for entry in found.values()} == {0.0}
    assert (found["accuracy"]["wins"], found["accuracy"]["losses"]) == (0, 0)


def test_recall_counts_the_rows_of_the_second_class() -> None:
    ours, theirs = two("binary")
    found = paired("binary", ours[0], _answers(ours), _answers(theirs), classes=[0, 1])["recall"]

    assert found["n"] == int((ours[0] == 1).sum())
    assert found["difference"] == pytest.approx((found["wins"] - found["losses"]) / found["n"])


def test_doubled_rows_are_found_and_decide_no_more() -> None:
    ours, theirs = two("binary")
    x = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    x[::7, 1] = np.nan
    twice = [np.concatenate([part, part]) for part in (ours[0], ours[1], ours[2], theirs[1], theirs[2])]  # type: ignore[list-item]

    distinct = first_copies(np.concatenate([x, x]), twice[0])
    alone = paired("binary", ours[0], _answers(ours), _answers(theirs), classes=[0, 1])
    labels, mine, my_chances, other, other_chances = (part[distinct] for part in twice)
    doubled = paired(
        "binary",
        labels,
        Answers(mine, my_chances),
        Answers(other, other_chances),
        classes=[0, 1],
    )

    assert len(distinct) == 500
    assert doubled == alone


def test_rows_that_differ_in_a_label_or_a_feature_are_no_copies() -> None:
    x = np.array([[1.0, np.nan], [1.0, np.nan], [1.0, 2.0], [-0.0, 1.0], [0.0, 1.0]], dtype=np.float32)

    assert first_copies(x, np.array([0, 1, 0, 1, 1])).tolist() == [0, 1, 2, 3]


def test_without_a_discordant_row_few_rows_prove_nothing() -> None:
    def non_inferior(n: int) -> bool:
        entry = {"method": "paired shares", "n": n, "wins": 0, "losses": 0, "difference": 0.0, "standard_error": 0.0}
        return compare(entry, margin=0.005, alpha=0.05, power=0.8, higher_is_better=True).non_inferior

    assert [non_inferior(n) for n in (100, 500, 1000)] == [False, False, True]


def test_without_a_moved_row_few_rows_prove_nothing_about_f1() -> None:
    def non_inferior(n: int) -> bool:
        entry = {"method": "paired influence", "n": n, "difference": 0.0, "standard_error": 0.0, "step": 1 / n}
        entry["support"] = float(n)
        return compare(entry, margin=0.005, alpha=0.05, power=0.8, higher_is_better=True).non_inferior

    assert [non_inferior(n) for n in (100, 500, 1000)] == [False, False, True]


@pytest.mark.parametrize(("value", "error"), [(0.0, 0.0), (0.01, 0.004), (-0.02, 0.001), (0.03, 0.0), (0.0, 0.01)])
def test_the_bound_of_a_difference_is_where_its_test_turns(value: float, error: float) -> None:
    difference = Difference(value=value, standard_error=error, step=0.002, support=300.0)
    bound = lower_bound(difference, 0.05)

    def surprise(margin: float) -> float:
        return (value - 0.001 + margin) / max(error, math.sqrt(max(margin, 0.0) * 0.002))

    if bound < 0.0:
        assert surprise(-bound) == pytest.approx(1.65, abs=0.01)
    else:
        assert bound == pytest.approx(value - 0.001 - 1.65 * error, abs=1e-4)
