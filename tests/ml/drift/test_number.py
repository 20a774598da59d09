from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from ml.drift.counting import counted
from ml.drift.number import distance, prepare

WIDE = arrays(np.float64, st.integers(2, 60), elements=st.floats(-1e6, 1e6) | st.integers(-5, 5).map(float))
NARROW = arrays(np.float32, st.integers(2, 60), elements=st.floats(-1e4, 1e4, width=32) | st.integers(0, 3).map(float))
COLUMN = WIDE | NARROW
Column = NDArray[np.floating]


@given(COLUMN, COLUMN, st.integers(2, 80))
def test_with_the_values_kept_the_distances_are_scipys(left: Column, right: Column, resolution: int) -> None:
    found = distance(prepare(left, resolution=resolution, keep=True), right)

    largest = float(max(np.abs(left).max(), np.abs(right).max(), 1.0))
    expected = stats.ks_2samp(left.astype(float), right.astype(float), method="asymp").statistic
    moved = stats.wasserstein_distance(left.astype(float), right.astype(float))
    assert found.d == pytest.approx(expected, abs=1e-9)
    assert found.wasserstein == pytest.approx(moved, abs=1e-9 * largest)
    assert (found.d_error, found.wasserstein_error) == (0, 0)


@given(COLUMN, COLUMN, st.integers(2, 20))
def test_from_the_grid_alone_the_truth_lies_within_the_stated_error(
    left: Column, right: Column, resolution: int
) -> None:
    found = distance(prepare(left, resolution=resolution), right)

    exact = distance(prepare(left, keep=True), right)
    slack = 1e-9 * float(max(np.abs(left).max(), np.abs(right).max(), 1.0))
    assert found.d - 1e-12 <= exact.d <= found.d + found.d_error + 1e-12
    assert found.wasserstein is not None
    assert exact.wasserstein is not None
    assert found.wasserstein - slack <= exact.wasserstein <= found.wasserstein + found.wasserstein_error + slack


def test_the_refinement_of_narrow_columns_is_computed_wide() -> None:
    left, right = np.array([0, 0, -66], dtype=np.float32), np.array([0, -1.8766899], dtype=np.float32)

    found = distance(prepare(left, resolution=2, keep=True), right)

    assert found.wasserstein == pytest.approx(
        stats.wasserstein_distance(left.astype(float), right.astype(float)), abs=1e-12
    )


@pytest.mark.parametrize("sizes", [(3000, 2000), (2500, 2500)])
@pytest.mark.parametrize("shift", [0.0, 0.05, 1.0, 20.0])
def test_larger_samples_agree_as_well(sizes: tuple[int, int], shift: float) -> None:
    random = np.random.default_rng(5)
    left, right = random.normal(size=sizes[0]), random.normal(shift, size=sizes[1])

    exact = distance(prepare(left, resolution=50, keep=True), right)
    thinned = distance(prepare(left, resolution=50), right)

    assert exact.d == pytest.approx(stats.ks_2samp(left, right, method="asymp").statistic, abs=1e-12)
    assert exact.wasserstein == pytest.approx(stats.wasserstein_distance(left, right), abs=1e-9)
    assert 0 <= exact.d - thinned.d <= thinned.d_error + 1e-12


@pytest.mark.parametrize("rows", [20_000, 17_000])
@pytest.mark.parametrize("digits", [2, 12])
def test_with_the_usual_grid_and_many_rows_the_distances_are_scipys(rows: int, digits: int) -> None:
    random = np.random.default_rng(9)
    left, right = (random.normal(size=size).round(digits) for size in (20_000, rows))

    found = distance(prepare(left, keep=True), right)

    assert found.d == pytest.approx(stats.ks_2samp(left, right, method="asymp").statistic, abs=1e-12)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(left, right), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counting_many_values_is_what_a_sort_and_a_search_find(dtype: type) -> None:
    random = np.random.default_rng(10)
    column = random.normal(size=50_000).round(2).astype(dtype)
    column[::7] = np.nan
    bounds = np.unique(column[:900][~np.isnan(column[:900])].astype(np.float64))
    values = np.sort(column[~np.isnan(column)])

    found = counted(column, bounds, centre=0.5)

    assert (found.rows, found.missing) == (len(values), 50_000 - len(values))
    assert found.below.tolist() == np.searchsorted(values, bounds, side="left").tolist()
    assert found.upto.tolist() == np.searchsorted(values, bounds, side="right").tolist()
    assert (found.places % 2 == 1).sum() == np.isin(values, bounds).sum()


def test_the_error_of_the_usual_grid_is_far_below_any_floor() -> None:
    random = np.random.default_rng(6)
    found = distance(prepare(random.normal(size=20_000)), random.normal(size=20_000))

    assert 0 < found.d_error < 2e-3


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.lists(st.integers(-2, 12), min_size=2, max_size=60))
def test_few_different_values_are_exact_without_keeping_them(left: list[int], right: list[int]) -> None:
    found = distance(prepare(np.array(left, dtype=np.float32)), np.array(right, dtype=np.float32))

    assert found.d == pytest.approx(stats.ks_2samp(left, right, method="asymp").statistic, abs=1e-12)
    assert found.d_error == 0


@given(COLUMN)
def test_a_column_is_not_far_from_itself(column: Column) -> None:
    found = distance(prepare(column, keep=True), column)

    assert found.d == 0
    assert found.wasserstein == pytest.approx(0, abs=1e-9 * float(max(np.abs(column).max(), 1.0)))


def test_missing_values_do_not_count() -> None:
    column = np.array([1.0, np.nan, 2.0, 3.0, np.nan])
    reference = prepare(column)

    found = distance(reference, np.array([np.nan, 1.0, 2.0, 3.0]))

    assert (reference.rows, reference.missing, found.rows, found.missing) == (3, 2, 3, 1)
    assert found.d == 0


def test_infinite_values_have_a_place_but_no_transport() -> None:
    left, right = np.array([1.0, 2.0, np.inf, np.inf]), np.array([-np.inf, 2.0, 2.5, np.inf])

    for keep in (False, True):
        found = distance(prepare(left, keep=keep), right)
        assert found.d == stats.ks_2samp(left, right, method="asymp").statistic
        assert found.wasserstein is None


@pytest.mark.parametrize("empty", [np.array([]), np.array([np.nan])])
def test_without_a_value_there_is_no_distance(empty: Column) -> None:
    for left, right in ((empty, np.array([1.0])), (np.array([1.0]), empty)):
        with pytest.raises(ValueError, match="at least one"):
            distance(prepare(left), right)


@given(COLUMN, COLUMN)
def test_counting_is_what_a_sort_and_a_search_find(column: Column, edges: Column) -> None:
    bounds = np.unique(edges.astype(np.float64))
    found = counted(column, bounds, centre=0.0)
    values = np.sort(column.astype(np.float64))

    assert found.below.tolist() == np.searchsorted(values, bounds, side="left").tolist()
    assert found.upto.tolist() == np.searchsorted(values, bounds, side="right").tolist()
    between = [values[a:b].sum() for a, b in zip(found.upto, [*found.below[1:], len(values)], strict=True)]
    assert found.sums[1:].tolist() == pytest.approx(between, abs=1e-6)


@given(st.floats(1e-300, 1e300), st.integers(0, 1000))
def test_counting_survives_heavy_tails(scale: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    column = np.append(random.normal(size=50) ** 9, random.normal(size=5) * scale)
    bounds = np.unique(np.append(column[:40], [scale, -scale]))
    assume(np.isfinite(bounds).all())

    found = counted(column, bounds, centre=0.0)

    assert found.upto.tolist() == np.searchsorted(np.sort(column), bounds, side="right").tolist()


def test_equal_bins_of_the_reference_hold_a_tenth_each() -> None:
    random = np.random.default_rng(7)
    found = distance(prepare(random.normal(size=10_000)), random.normal(size=5_000))

    assert len(found.bins[0]) == len(found.bins[1]) == 10
    assert found.bins[0].sum() == 10_000
    assert found.bins[1].sum() == 5_000
    assert (np.abs(found.bins[0] - 1000) <= 2).all()


def test_keeping_values_changes_only_what_is_exact() -> None:
    random = np.random.default_rng(8)
    kept = prepare(random.normal(size=5_000), resolution=30, keep=True)
    column = random.normal(size=4_000)

    assert distance(kept, column).d >= distance(replace(kept, values=None), column).d
