import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from ml.drift.statistics import chi_square, ks_binned, ks_p, pooled, psi, total_variation, tv_p, two_proportions

CELLS = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000)), min_size=1, max_size=12)


def sides(cells: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [left for left, _ in cells], [right for _, right in cells]


@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(0, 1))
def test_the_p_of_a_distance_is_scipys(n: int, m: int, d: float) -> None:
    expected = stats.kstwo.sf(d, max(round(n * m / (n + m)), 1))

    assert ks_p(d, n, m) == pytest.approx(float(np.clip(expected, 0, 1)), abs=1e-9)


@pytest.mark.parametrize("effective", [2_000, 5_999, 6_000, 20_000, 100_000])
@pytest.mark.parametrize("squares", [0.5, 2.19, 2.21, 4, 9, 17.9])
def test_the_p_of_many_rows_is_scipys_and_small_ones_are_right_to_four_digits(effective: int, squares: float) -> None:
    d = math.sqrt(squares / effective)
    expected = float(stats.kstwo.sf(d, effective))

    assert ks_p(d, 2 * effective, 2 * effective) == pytest.approx(expected, rel=5e-5, abs=0)
    assert ks_p(d, 2 * effective, 2 * effective) == pytest.approx(expected, rel=0, abs=1e-9)


def test_the_p_of_two_samples_is_scipys() -> None:
    random = np.random.default_rng(1)
    left, right = random.normal(size=800), random.normal(0.1, size=500)

    expected = stats.ks_2samp(left, right, method="asymp")

    assert ks_p(float(expected.statistic), 800, 500) == pytest.approx(float(expected.pvalue), abs=1e-12)


@given(CELLS)
def test_chi_square_is_scipys_of_the_pooled_table(cells: list[tuple[int, int]]) -> None:
    left, right = sides(cells)
    found = chi_square(left, right)
    if found is None:
        assert min(sum(left), sum(right)) == 0
        return
    table = pooled(np.array(left, dtype=float), np.array(right, dtype=float))

    assert table.sum() == sum(left) + sum(right)
    if table.shape[1] < 2:
        assert (found.statistic, found.p) == (0, 1)
        return
    expected = stats.chi2_contingency(table, correction=False)
    assert expected.expected_freq.min() >= 5
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert found.degrees == expected.dof


def test_rare_categories_are_pooled_and_common_ones_are_not() -> None:
    table = pooled(np.array([500.0, 400, 3, 2, 1, 0, 0]), np.array([480.0, 420, 4, 1, 0, 2, 0]))

    assert table.tolist() == [[6, 400, 500], [7, 420, 480]]


def test_a_category_that_only_new_rows_have_is_seen() -> None:
    found = chi_square([500, 500, 0], [450, 450, 100])

    assert found is not None
    assert found.p < 1e-12


@given(st.tuples(st.integers(0, 300), st.integers(0, 300)), st.tuples(st.integers(0, 300), st.integers(0, 300)))
def test_two_proportions_are_scipys(missing: tuple[int, int], present: tuple[int, int]) -> None:
    rows = (missing[0] + present[0], missing[1] + present[1])
    found = two_proportions(missing, rows)
    if min(rows) == 0:
        assert found is None
        return
    if sum(missing) in (0, sum(rows)):
        assert found == 1
        return
    table = [[missing[0], present[0]], [missing[1], present[1]]]
    tested = stats.chi2_contingency(table, correction=False)
    exact = tested.expected_freq.min() < 5

    expected = stats.fisher_exact(table).pvalue if exact else tested.pvalue

    assert found == pytest.approx(expected, abs=1e-9)


@given(CELLS)
def test_the_distances_are_symmetric_shares(cells: list[tuple[int, int]]) -> None:
    left, right = sides(cells)

    for distance in (ks_binned, total_variation):
        found = distance(left, right)
        assert found == pytest.approx(distance(right, left))
        assert found is None or 0 <= found <= 1
    stability = psi(left, right)
    assert stability == pytest.approx(psi(right, left))
    assert stability is None or (stability >= -1e-12 and math.isfinite(stability))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8))
def test_equal_counts_show_nothing(cells: list[int]) -> None:
    assume(sum(cells) > 0)

    assert psi(cells, cells) == pytest.approx(0)
    assert total_variation(cells, cells) == pytest.approx(0)
    assert ks_binned(cells, cells) == pytest.approx(0)


@given(CELLS)
def test_no_event_changes_its_probability_by_more_than_the_total_variation(cells: list[tuple[int, int]]) -> None:
    left, right = sides(cells)
    ks, tv = ks_binned(left, right), total_variation(left, right)

    assert (ks is None) == (tv is None)
    assert ks is None or tv is None or ks <= tv + 1e-12


@pytest.mark.parametrize("beyond", [0.05, 0.08, 0.12])
def test_equal_shares_lie_apart_by_chance_at_most_as_often_as_said(beyond: float) -> None:
    random = np.random.default_rng(7)
    left, right = (random.multinomial(rows, [0.5, 0.3, 0.2], size=4000) for rows in (800, 400))
    apart = np.abs(left / 800 - right / 400).sum(axis=1) / 2 >= beyond

    assert apart.mean() <= tv_p(beyond, 3, 800, 400)


def test_the_psi_of_a_known_table() -> None:
    # Shares 0.25 and 0.5: by hand, with the half row too small to see.
    assert psi([250_000, 750_000], [500_000, 500_000]) == pytest.approx(0.25 * math.log(2) + 0.25 * math.log(1.5), 1e-5)


def test_an_empty_cell_costs_much_and_not_infinitely_much() -> None:
    found = psi([500, 500, 0], [450, 450, 100])

    assert found is not None
    assert 0.5 < found < 1


def test_sides_over_different_cells_are_refused() -> None:
    for statistic in (psi, ks_binned, total_variation, chi_square):
        with pytest.raises(ValueError, match="same cells"):
            statistic([1, 2], [1, 2, 3])


def test_still_features_rarely_look_moved_by_chance() -> None:
    random = np.random.default_rng(3)
    tables = [(random.multinomial(2000, [0.1] * 10), random.multinomial(500, [0.1] * 10)) for _ in range(300)]

    by_chance = [ks_p(ks_binned(*table) or 0.0, 2000, 500) <= 0.05 for table in tables]
    moved = [(chi_square(*table) or pytest.fail("no rows")).p <= 0.05 for table in tables]

    assert sum(by_chance) <= 0.05 * 300
    assert sum(moved) <= 0.09 * 300  # 300 trials of a 5 % test: beyond 9 % with less than one in a thousand
