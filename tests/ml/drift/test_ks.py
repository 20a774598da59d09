import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ml.data.schema import Feature
from ml.drift.ks import binned, two_sample
from ml.drift.measure import drift_of

COUNTS = st.lists(st.integers(0, 1000), min_size=5, max_size=5)


def counted(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def test_two_samples_agree_with_scipy_and_missing_values_do_not_count() -> None:
    random = np.random.default_rng(1)
    left, right = random.normal(size=800), random.normal(0.2, size=500)

    found = two_sample(np.append(left, [np.nan] * 7), np.append(right, np.nan))

    expected = stats.ks_2samp(left, right)
    assert (found.n_reference, found.n_current) == (800, 500)
    assert found.d == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, rel=0.05)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3])
def test_with_every_value_an_edge_the_binned_d_is_exact(shift: float) -> None:
    random = np.random.default_rng(2)
    left, right = random.normal(size=700), random.normal(shift, size=900)
    edges = np.unique(np.concatenate([left, right]))

    found, expected = binned(counted(left, edges), counted(right, edges)), stats.ks_2samp(left, right)

    assert found.d == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, abs=0.02)


@given(st.integers(2, 40), st.integers(0, 1000), st.floats(-1, 1))
def test_fewer_bins_never_show_a_greater_distance_nor_a_smaller_p(bins: int, seed: int, shift: float) -> None:
    random = np.random.default_rng(seed)
    left, right = random.normal(size=300), random.normal(shift, size=200)
    edges = np.unique(np.quantile(left, np.linspace(0, 1, bins + 2)[1:-1]))

    found, full = binned(counted(left, edges), counted(right, edges)), two_sample(left, right)

    assert found.d is not None
    assert full.d is not None
    assert found.d <= full.d + 1e-12


@given(COUNTS)
def test_equal_counts_show_no_distance(counts: list[int]) -> None:
    found = binned(counts, [2 * count for count in counts])

    assert found.d == (pytest.approx(0, abs=1e-12) if sum(counts) else None)


@given(COUNTS, COUNTS)
def test_d_and_p_are_shares_and_symmetric(left: list[int], right: list[int]) -> None:
    found, turned = binned(left, right), binned(right, left)

    assert (found.d, found.p) == (turned.d, turned.p)
    assert found.d is None or (0 <= found.d <= 1 and found.p is not None and 0 <= found.p <= 1)


def test_an_empty_sample_has_no_distance() -> None:
    assert binned([0, 0], [1, 2]).d is None
    assert two_sample(np.array([np.nan]), np.array([1.0])).p is None


def test_samples_over_different_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="same bins"):
        binned([1, 2], [1, 2, 3])


def test_still_features_rarely_look_moved_by_chance() -> None:
    random = np.random.default_rng(3)
    p_values = [binned(random.multinomial(2000, [0.1] * 10), random.multinomial(500, [0.1] * 10)).p for _ in range(300)]

    assert sum(p is not None and p <= 0.05 for p in p_values) <= 0.05 * 300


def test_only_measured_features_are_in_the_record() -> None:
    features = [
        Feature(name="a", kind="number"),
        Feature(name="b", kind="number", drift="watch"),
        Feature(name="c", kind="number", drift="ignore"),
        Feature(name="d", kind="category", categories=("x",)),
    ]
    columns = {name: np.array([1.0, 2.0, np.nan]) for name in "abcd"}

    found = drift_of(features, columns, columns)["features"]

    assert {name: result["role"] for name, result in found.items()} == {"a": "gate", "b": "watch"}
    assert found["a"] == {
        "role": "gate", "n_reference": 2, "n_current": 2, "missing_reference": 1, "missing_current": 1,
        "d": 0.0, "p": 1.0,
    }  # fmt: skip
