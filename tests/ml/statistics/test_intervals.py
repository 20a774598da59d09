import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.evaluation.metrics import Kind, evaluate
from ml.statistics.influence import influence
from ml.statistics.intervals import Interval, intervals

KINDS: tuple[Kind, ...] = ("binary", "multiclass", "regression")
Rows = tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]


def rows(kind: Kind, n: int = 600, seed: int = 0) -> Rows:
    """Labels, predictions and probabilities of a model that is right more often than not."""
    random = np.random.default_rng(seed)
    if kind == "regression":
        x = random.normal(size=n)
        return x + 0.5 * random.normal(size=n), x, None
    k = 2 if kind == "binary" else 3
    labels = random.choice(k, size=n, p=[0.7, 0.3] if k == 2 else [0.5, 0.3, 0.2])
    logits = random.normal(size=(n, k)) + 1.5 * np.eye(k)[labels]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, chances.argmax(axis=1), chances


def _pick(data: Rows, index: NDArray[np.intp]) -> Rows:
    labels, predictions, chances = data
    return labels[index], predictions[index], None if chances is None else chances[index]


def _classes(kind: Kind) -> list[int] | None:
    return None if kind == "regression" else list(range(2 if kind == "binary" else 3))


def _bootstrap(kind: Kind, data: Rows, times: int = 800) -> dict[str, float]:
    random = np.random.default_rng(1)
    n = len(data[0])
    drawn = [evaluate(kind, *_pick(data, random.integers(0, n, n)), classes=_classes(kind)) for _ in range(times)]
    return {name: float(np.std([metrics[name] for metrics in drawn], ddof=1)) for name in drawn[0]}


@pytest.mark.parametrize("kind", KINDS)
def test_standard_errors_are_those_of_a_bootstrap(kind: Kind) -> None:
    data = rows(kind)
    found = intervals(kind, *data, classes=_classes(kind))

    # 800 draws know a standard error to within 2.5 % (one sigma).
    assert {name: each.standard_error for name, each in found.items()} == pytest.approx(
        _bootstrap(kind, data), rel=0.08
    )


@pytest.mark.parametrize("kind", KINDS)
def test_estimates_are_those_of_the_metrics_and_lie_inside(kind: Kind) -> None:
    data = rows(kind)
    found = intervals(kind, *data, classes=_classes(kind))

    assert {name: each.estimate for name, each in found.items()} == evaluate(kind, *data, classes=_classes(kind))
    assert all(each.low < each.estimate < each.high for each in found.values())


@pytest.mark.parametrize("kind", KINDS)
def test_influence_values_have_mean_zero_and_a_matching_estimate(kind: Kind) -> None:
    for name, each in influence(kind, *rows(kind), classes=_classes(kind)).items():
        assert each.values.mean() == pytest.approx(0.0, abs=1e-9), name


@pytest.mark.parametrize(("kind", "metric", "share"), [("binary", "roc_auc", 0.95), ("regression", "r2", 0.95)])
def test_an_interval_covers_as_often_as_it_says(kind: Kind, metric: str, share: float) -> None:
    truth = evaluate(kind, *rows(kind, 200_000, seed=99), classes=_classes(kind))[metric]
    found = [intervals(kind, *rows(kind, 200, seed), classes=_classes(kind))[metric] for seed in range(400)]

    assert np.mean([each.low <= truth <= each.high for each in found]) == pytest.approx(share, abs=0.03)


def test_a_plain_share_has_wilsons_interval() -> None:
    hits = np.arange(100) < 80
    found = intervals("binary", np.ones(100, int), hits.astype(int), np.full((100, 2), 0.5), classes=[0, 1])

    # Wilson's interval of 80 in 100 by the textbook; the sample variance's n - 1 moves the third digit.
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((0.7112, 0.8666), abs=0.001)


@pytest.mark.parametrize("right", [True, False])
def test_all_right_or_all_wrong_still_has_an_interval_inside_the_range(right: bool) -> None:  # noqa: FBT001
    labels = np.arange(40) % 2
    guess = labels if right else 1 - labels
    found = intervals("binary", labels, guess, np.eye(2)[guess], classes=[0, 1])

    for name in ("accuracy", "recall", "roc_auc"):
        each = found[name]
        assert 0.0 <= each.low < each.high <= 1.0
        assert each.estimate in (each.low, each.high)


def _undecided(each: Interval) -> bool:
    return math.isnan(each.low) and math.isnan(each.high)


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_give_nan_everywhere(kind: Kind) -> None:
    data = _pick(rows(kind), np.array([], dtype=np.intp))

    assert all(
        _undecided(each) and math.isnan(each.estimate)
        for each in intervals(kind, *data, classes=_classes(kind)).values()
    )


def test_one_class_has_no_roc_auc_and_no_interval_of_it() -> None:
    found = intervals("binary", np.ones(50, int), np.ones(50, int), np.full((50, 2), 0.5), classes=[0, 1])

    assert _undecided(found["roc_auc"])
    assert math.isnan(found["roc_auc"].estimate)


def test_a_model_that_never_says_yes_has_no_interval_of_its_precision() -> None:
    found = intervals("binary", np.arange(50) % 2, np.zeros(50, int), np.full((50, 2), 0.5), classes=[0, 1])

    assert found["precision"].estimate == 0.0
    assert _undecided(found["precision"])


def test_constant_labels_and_perfect_predictions_have_no_interval() -> None:
    perfect = intervals("regression", np.arange(9.0), np.arange(9.0), None)
    constant = intervals("regression", np.ones(9), np.arange(9.0), None)

    assert _undecided(perfect["rmse"])
    assert _undecided(constant["r2"])


def test_a_higher_confidence_is_wider() -> None:
    data = rows("binary")
    wide, narrow = (intervals("binary", *data, classes=[0, 1], confidence=c)["f1"] for c in (0.99, 0.9))

    assert wide.low < narrow.low < narrow.high < wide.high
