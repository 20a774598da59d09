"""The statistics of drift: how far two samples lie apart, and how likely chance alone explains it. Pure; numpy, scipy.

A tiny difference becomes significant with enough rows, so a p-value alone decides nothing: `ml.drift.decide` also asks
for a least effect. What scipy has, agrees with scipy (tests/ml/drift/test_statistics.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Counts = NDArray[np.float64]
_FAR, _NEAR = 18.0, 2.2  # of n d^2: beyond the first Massart's bound 2 exp(-36); beyond the second twice one side's law
_MANY = 6_000  # from this effective size on the series of that law is off by less than 1e-9
SMALLEST_EXPECTED = 5.0
"""Below this expected count a chi-square cell is pooled. Source: Cochran (1954)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChiSquare:
    """Pearson's statistic over the cells left after pooling, its degrees of freedom and p, in [0, 1]."""

    statistic: float
    degrees: int
    p: float


def ks_p(d: float, n: int, m: int) -> float:
    """Two-sided p of a Kolmogorov-Smirnov distance `d` between samples of n and m values.

    Asymptotic: the one-sample law of the effective size n m / (n + m), as `scipy.stats.ks_2samp(method="asymp")`. For
    values counted in bins it is conservative: chance is never called drift more often than said.

    Within 1e-9 of scipy's. Source: Simard and L'Ecuyer (2011), by way of scipy's `kstwo`. Its sum over all rows takes
    some 50 ms for one p below 0.025 at 1e5 rows a side, so that a few moved features would cost more than all counting:
    there a series takes its place, and far in the tail Massart's (1990) bound, below 1e-15.
    """
    effective = max(float(np.round(float(n) * float(m) / (float(n) + float(m)))), 1.0)
    if effective * d * d >= _FAR:
        return float(2 * np.exp(-2 * effective * d * d))
    if effective >= _MANY and effective * d * d >= _NEAR:
        return 2 * _one_sided(d, effective)
    from scipy.stats import kstwo  # noqa: PLC0415  (half a second, which `mlp --help` does not need)

    return float(np.clip(kstwo.sf(d, effective), 0.0, 1.0))


def _one_sided(d: float, n: float) -> float:
    """Chance that a distribution function of n values exceeds the true one by d or more somewhere; n large, d small.

    Off by 4e-5 of itself or less for n >= 6,000 and n d^2 in [2.2, 18].

    Source: Smirnov's law to the order n^(-3/2), Lauwerier (1963); as a logarithm, in which its terms cancel.
    """
    return float(
        np.exp(-2 * n * d**2 * (1 + 2 / 9 * d**2) - 2 / 3 * d + 4 / 9 * d**2 - 88 / 405 * d**3 + 4 / 45 * d / n)
    )


def ks_binned(reference: ArrayLike, current: ArrayLike) -> float | None:
    """Greatest distance of two distribution functions known at the same bins' edges; None when a side is empty.

    Exact at the edges, hence at most the distance of the values.

    Args:
        reference: Rows per bin, shape (n_bins,), at least 0.
        current: Likewise.
    """
    left, right = _pair(reference, current)
    n, m = left.sum(), right.sum()
    if n == 0 or m == 0:
        return None
    # cumulated shares may exceed 1 by a rounding error
    return min(float(np.abs(np.cumsum(left) / n - np.cumsum(right) / m).max()), 1.0)


def psi(reference: ArrayLike, current: ArrayLike) -> float | None:
    """Population stability index over the same bins or categories; None when a side is empty.

    Half a row is added to every cell of both sides, so that an empty cell costs much and not infinitely much. Cells
    that are empty on both sides are left out. Non-negative; 0 for equal shares.

    Source: Siddiqi (2006); the half row is Jeffreys' prior of a multinomial.
    """
    left, right = _pair(reference, current)
    if left.sum() == 0 or right.sum() == 0:
        return None
    seen = (left + right) > 0
    shares = [(side[seen] + 0.5) / (side[seen] + 0.5).sum() for side in (left, right)]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def total_variation(reference: ArrayLike, current: ArrayLike) -> float | None:
    """Half the sum of the shares' differences, in [0, 1]: the share of rows that moved; None when a side is empty.

    For categories what the Kolmogorov-Smirnov distance is for numbers: the greatest difference in probability that any
    set of values has.
    """
    left, right = _pair(reference, current)
    if left.sum() == 0 or right.sum() == 0:
        return None
    return min(float(np.abs(left / left.sum() - right / right.sum()).sum() / 2), 1.0)


def tv_p(tv: float, cells: int, n: int, m: int) -> float:
    """An upper bound of the chance that two samples of n and m rows with equal shares lie `tv` or more apart.

    Source: Hoeffding's inequality for each set of cells, of which one has the total variation as its difference, as
    Weissman et al. (2003) do it for one sample.
    """
    effective = float(n) * float(m) / (float(n) + float(m))
    return float(min(np.exp(cells * np.log(2.0) - 2.0 * effective * tv * tv), 1.0))


def chi_square(reference: ArrayLike, current: ArrayLike) -> ChiSquare | None:
    """Whether two samples have the same shares of categories; None when a side is empty.

    Rare categories are pooled until every expected count is at least five; with one cell left there is nothing to
    tell apart and p is 1. A category that only one side has is a cell like any other.

    Source: Pearson (1900); `scipy.stats.chi2_contingency(correction=False)` of the pooled table.
    """
    left, right = _pair(reference, current)
    if left.sum() == 0 or right.sum() == 0:
        return None
    table = pooled(left, right)
    if table.shape[1] < 2:
        return ChiSquare(statistic=0.0, degrees=0, p=1.0)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    degrees = table.shape[1] - 1
    return ChiSquare(statistic=statistic, degrees=degrees, p=float(special.chdtrc(degrees, statistic)))


def pooled(left: Counts, right: Counts) -> Counts:
    """The 2 x k table whose rarest categories are one cell, shape (2, n_cells)."""
    both = left + right
    order = np.argsort(both, kind="stable")
    order = order[both[order] > 0]
    enough = SMALLEST_EXPECTED * both.sum() / min(left.sum(), right.sum())
    rare = int(np.searchsorted(both[order], enough, side="left"))
    while 0 < rare < len(order) and both[order[:rare]].sum() < enough:
        rare += 1
    table = np.stack([left, right])
    together = table[:, order[:rare]].sum(axis=1, keepdims=True)
    return np.hstack([together, table[:, order[rare:]]]) if rare else table[:, order]


def two_proportions(missing: tuple[int, int], rows: tuple[int, int]) -> float | None:
    """Two-sided p that two shares are equal; None when a side has no rows.

    Pearson's chi-square without correction (the square of the pooled z); Fisher's exact test where an expected count is
    below five.

    Args:
        missing: How many of the rows, on each side.
        rows: How many rows there are, on each side.
    """
    if min(rows) <= 0:
        return None
    table = np.array([[missing[0], rows[0] - missing[0]], [missing[1], rows[1] - missing[1]]], dtype=np.float64)
    totals = table.sum(axis=0)
    if totals.min() == 0:
        return 1.0
    expected = table.sum(axis=1, keepdims=True) * totals / totals.sum()
    if expected.min() < SMALLEST_EXPECTED:
        return _fisher(table)
    return float(special.chdtrc(1, ((table - expected) ** 2 / expected).sum()))


def _fisher(table: Counts) -> float:
    """Source: Fisher (1922); two-sided as R and scipy do it: every table no likelier than the one seen."""
    total, row, column = table.sum(), table[0].sum(), table[:, 0].sum()
    cell = np.arange(max(0.0, row + column - total), min(row, column) + 1)
    log_p = _log_choose(column, cell) + _log_choose(total - column, row - cell) - _log_choose(total, row)
    seen = log_p[int(table[0, 0] - cell[0])]
    return float(min(np.exp(log_p[log_p <= seen + 1e-7]).sum(), 1.0))


def _log_choose(n: float, k: ArrayLike) -> NDArray[np.float64]:
    chosen = np.asarray(k, dtype=np.float64)
    return np.asarray(special.gammaln(n + 1) - special.gammaln(chosen + 1) - special.gammaln(n - chosen + 1))


def _pair(reference: ArrayLike, current: ArrayLike) -> tuple[Counts, Counts]:
    left, right = (np.asarray(side, dtype=np.float64) for side in (reference, current))
    if left.shape != right.shape:
        raise ValueError(f"{left.shape} and {right.shape}: both sides must be counted over the same cells")
    return left, right
