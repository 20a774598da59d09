"""What live rows and answers are counted into, by kind of problem."""

from typing import Any

import numpy as np
import pytest

from ml.data.schema import Feature
from ml.serving.bins import FeatureBins
from ml.serving.spec import Golden, ReferenceBins, Spec

FEATURES = (
    Feature(name="x", kind="number", nullable=True),
    Feature(name="c", kind="category", categories=("a", "b", "d")),
)
ROWS = np.array([[0.5, 0], [1.0, 1], [np.nan, 2], [7.0, -1]], dtype=np.float32)


def bins_of(kind: Any, predictions: dict[str, ReferenceBins], classes: list[Any] | None = None) -> FeatureBins:
    reference = {
        "x": ReferenceBins(edges=[1.0, 2.0], counts=[1, 1, 1]),
        "c": ReferenceBins(categories=["b", "a"], counts=[5, 4, 1, 0]),
    }
    spec = Spec(
        schema="s",
        problem="p",
        kind=kind,
        features=FEATURES,
        classes=classes,
        golden=Golden(rows=[], predictions=[]),
        reference=reference,
        predictions=predictions,
    )
    return FeatureBins(spec)


def counted(pairs: list[tuple[str, int]]) -> dict[str, int]:
    return {label: count for label, count in pairs if count}


@pytest.mark.parametrize(
    ("kind", "predictions", "classes", "answers", "expected"),
    [
        ("binary", {"score": ReferenceBins(edges=[0.5], counts=[1, 1])}, [0, 1],
         [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.1, 0.9]], {"0": 2, "1": 2}),
        ("multiclass", {"class": ReferenceBins(categories=["3", "1"], counts=[2, 1, 1, 0])}, [1, 2, 3],
         [[0.9, 0.1, 0], [0, 0.9, 0.1], [0, 0, 1], [0, 0, 1]], {"0": 2, "1": 1, "other": 1}),
        ("regression", {"value": ReferenceBins(edges=[10.0], counts=[1, 1])}, None,
         [[5.0], [10.0], [11.0], [float("nan")]], {"0": 2, "1": 1, "missing": 1}),
    ],
)  # fmt: skip
def test_rows_and_answers_are_counted(
    kind: str, predictions: dict[str, ReferenceBins], classes: Any, answers: list[list[float]], expected: dict[str, int]
) -> None:
    bins = bins_of(kind, predictions, classes)

    bins.add(ROWS, np.array(answers))

    features = {name: counted(pairs) for name, pairs in bins.counts()}
    assert features == {"x": {"0": 2, "2": 1, "missing": 1}, "c": {"0": 1, "1": 1, "other": 1, "unknown": 1}}
    assert [counted(pairs) for _, pairs in bins.answers()] == [expected]


def test_a_release_without_bins_of_its_answers_counts_inputs_only() -> None:
    bins = bins_of("binary", {}, [0, 1])

    bins.add(ROWS, np.zeros((4, 2)))

    assert list(bins.answers()) == []
    assert sum(count for _, pairs in bins.counts() for _, count in pairs) == 8


def test_the_number_of_series_is_fixed_by_the_release() -> None:
    bins = bins_of("regression", {"value": ReferenceBins(edges=[10.0], counts=[1, 1])})
    before = [(name, len(pairs)) for name, pairs in [*bins.counts(), *bins.answers()]]

    bins.add(np.repeat(ROWS, 1000, axis=0), np.ones((4000, 1)))

    assert [(name, len(pairs)) for name, pairs in [*bins.counts(), *bins.answers()]] == before
