"""One numeric column: a reference prepared once, and the distance of new values from it. Pure; numpy only.

The reference keeps a grid of at most `resolution` of its own values with the exact number of rows below and up to each,
and the exact area under its distribution function between them. So at the grid everything is exact; between two
neighbours the distribution functions can still differ by more, by an amount that is known and stated. A column with no
more different values than the grid has points is exact everywhere. With the sorted values beside the grid (`exact`) the
few gaps that could hold a greater distance are looked into, and the answer is scipy's.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ml.drift.counting import Counted, Values, counted
from ml.drift.gaps import Gaps, look_into

RESOLUTION = 2048
PSI_BINS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberReference:
    """A column of the reference, missing values left out.

    `edges` (k,) are values of the column, ascending; `below` and `upto` (k,) the rows under and up to each; `area`
    (k - 1,) the integral of the distribution function between neighbours. `cuts` are the indices of the edges that
    bound the bins of the PSI. `centre` is the mean and `spread` the standard deviation (ddof=0) of the finite values.
    `values`, sorted, only when kept.
    """

    rows: int
    missing: int
    centre: float
    spread: float
    edges: NDArray[np.float64]
    below: NDArray[np.int64]
    upto: NDArray[np.int64]
    area: NDArray[np.float64]
    cuts: NDArray[np.int64]
    values: Values | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberDistance:
    """How far new values lie from the reference.

    `d` is the Kolmogorov-Smirnov distance, `wasserstein` the first Wasserstein distance in the column's own unit (None
    when a value is infinite). Both can be too small by at most `d_error` and `wasserstein_error`; 0 means exact. `bins`
    are the rows of both sides in the PSI's bins.
    """

    rows: int
    missing: int
    d: float
    d_error: float
    wasserstein: float | None
    wasserstein_error: float
    bins: tuple[NDArray[np.int64], NDArray[np.int64]]


def prepare(column: Values, *, resolution: int = RESOLUTION, keep: bool = False) -> NumberReference:
    """Make the reference of one column, shape (n_rows,), NaN for missing; `keep` its sorted values to be exact."""
    values = present(column)
    deciles = _distinct(values[_ranks(len(values), PSI_BINS + 1)[1:-1]])
    different = _distinct(values)
    grid = _distinct(values[_ranks(len(values), resolution)])
    edges = (different if len(different) <= resolution else np.union1d(grid, deciles)).astype(np.float64)
    finite = values[np.isfinite(values)].astype(np.float64)
    centre = float(finite.mean()) if len(finite) else 0.0
    seen = counted(values, edges, centre)
    whole = seen.finite and bool(np.isfinite(edges).all())
    return NumberReference(
        rows=len(values),
        missing=len(column) - len(values),
        centre=centre,
        spread=float(finite.std()) if whole and len(finite) else 0.0,
        edges=edges,
        below=seen.below,
        upto=seen.upto,
        area=_area(seen, edges) if whole else np.full(max(len(edges) - 1, 0), np.nan),
        cuts=np.searchsorted(edges, deciles),
        values=values if keep else None,
    )


def present(column: Values) -> Values:
    """The values that are not missing, sorted; a copy."""
    values = np.sort(column)  # NaN goes to the end
    return values[: len(values) - int(np.isnan(column).sum())] if len(values) and np.isnan(values[-1]) else values


def _ranks(rows: int, count: int) -> NDArray[np.int64]:
    """About evenly spaced places in `rows` sorted values, the first and the last among them."""
    return np.linspace(0, rows - 1, count).round().astype(np.int64) if rows else np.zeros(0, dtype=np.int64)


def _distinct(values: Values) -> Values:
    """Sorted values, each once."""
    return values[np.concatenate([[True], values[1:] != values[:-1]])] if len(values) else values


def _area(seen: Counted, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The integral of the distribution function over each gap between neighbouring edges, shape (k - 1,).

    Every value in a gap adds the length from itself to the gap's end.
    """
    inside = seen.below[1:] - seen.upto[:-1]
    within = inside * (edges[1:] - seen.centre) - seen.sums[1:-1]
    area: NDArray[np.float64] = (seen.upto[:-1] * np.diff(edges) + within) / max(seen.rows, 1)
    return area


def distance(reference: NumberReference, column: Values) -> NumberDistance:
    """Compare new values, shape (n_rows,), NaN for missing, with the reference.

    Raises:
        ValueError: If the reference or the column has no value at all: there is no distribution to compare.
    """
    seen = counted(column, reference.edges, reference.centre)
    if reference.rows == 0 or seen.rows == 0:
        raise ValueError(f"{reference.rows} and {seen.rows} values: both sides need at least one")
    sides = _Sides(reference=reference, seen=seen)
    d, gap = sides.at_edges(), sides.in_gaps()
    area = sides.areas() if seen.finite and not np.isnan(reference.area).any() else None
    found = NumberDistance(
        rows=seen.rows,
        missing=seen.missing,
        d=d,
        d_error=max(float(gap.max(initial=0.0)) - d, 0.0),
        wasserstein=None if area is None else area.total,
        wasserstein_error=0.0 if area is None else area.error,
        bins=(_binned(reference.upto, reference.cuts, reference.rows), _binned(seen.upto, reference.cuts, seen.rows)),
    )
    return found if reference.values is None else _refined(sides, found, gap, area)


def _binned(upto: NDArray[np.int64], cuts: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    return np.diff(np.concatenate([[0], upto[cuts], [rows]]))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Areas:
    """The first Wasserstein distance so far, what may be missing from it, and the gaps (k - 1,) where."""

    total: float
    error: float
    open: NDArray[np.bool_]
    each: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sides:
    """Both distribution functions at the edges of the reference."""

    reference: NumberReference
    seen: Counted

    def _shares(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Reference at and before each edge, then the current values at and before it, each of shape (k,)."""
        n, m = self.reference.rows, self.seen.rows
        return self.reference.upto / n, self.reference.below / n, self.seen.upto / m, self.seen.below / m

    def at_edges(self) -> float:
        """The greatest distance at or right before an edge: exact there."""
        f, f_before, g, g_before = self._shares()
        return min(float(max(np.abs(f - g).max(), np.abs(f_before - g_before).max())), 1.0)

    def in_gaps(self) -> NDArray[np.float64]:
        """The greatest distance that each gap between two edges could hold, shape (k - 1,)."""
        f, f_before, g, g_before = self._shares()
        return np.maximum(f_before[1:] - g[:-1], g_before[1:] - f[:-1])

    def areas(self) -> _Areas:
        """The area between both functions: exact in a gap unless they may cross there."""
        edges, seen = self.reference.edges, self.seen
        f, f_before, g, g_before = self._shares()
        each = np.abs(self.reference.area - _area(seen, edges))
        before = (edges[0] - seen.centre) * seen.below[0] - seen.sums[0]
        after = seen.sums[-1] - (edges[-1] - seen.centre) * (seen.rows - seen.upto[-1])
        low, high = f[:-1] - g_before[1:], f_before[1:] - g[:-1]
        crossing = (low < 0) & (high > 0)
        most = np.diff(edges) * np.maximum(-low, high)
        error = float((most - each)[crossing].clip(0.0).sum())
        total = float(each.sum() + (before + after) / seen.rows)
        return _Areas(total=total, error=error, open=crossing, each=each)


def _refined(sides: _Sides, found: NumberDistance, gap: NDArray[np.float64], area: _Areas | None) -> NumberDistance:
    """Look into the gaps that could hold a greater distance, or where the functions may cross. Then all is exact."""
    reference, seen = sides.reference, sides.seen
    exact = replace(found, d_error=0.0, wasserstein_error=0.0)
    wanted = gap > found.d if area is None else (gap > found.d) | area.open
    if reference.values is None or not wanted.any():
        return exact
    gaps = Gaps(edges=reference.edges, below=reference.below, upto=reference.upto, wanted=wanted)
    inside = look_into(gaps, reference.values, seen)
    exact = replace(exact, d=min(max(found.d, inside.apart), 1.0))
    if area is None:
        return exact
    return replace(exact, wasserstein=area.total - float(area.each[wanted].sum()) + inside.area)
