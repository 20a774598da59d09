"""What two distribution functions do between neighbouring edges of the reference, from the values there. Pure; numpy.

Only the gaps that matter are looked into, so only their values are sorted: a sort of a whole column costs more than all
the rest of a comparison.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.drift.counting import Counted, Values


@dataclass(frozen=True, kw_only=True, slots=True)
class Gaps:
    """The gaps between the k edges of a reference, at least one of them `wanted` (k - 1,).

    `edges` (k,) are values of the reference; `below` and `upto` (k,) its rows under and up to each.
    """

    edges: NDArray[np.float64]
    below: NDArray[np.int64]
    upto: NDArray[np.int64]
    wanted: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inside:
    """The greatest distance of both functions in the wanted gaps, and the area between them there.

    `area` means nothing when a value or an edge is infinite.
    """

    apart: float
    area: float


def look_into(gaps: Gaps, theirs: Values, seen: Counted) -> Inside:
    """Both sides in the wanted gaps, exactly.

    Args:
        gaps: Of the reference.
        theirs: Its values, shape (n_rows,), sorted.
        seen: The other side, counted at the same edges.
    """
    inside = _Values.of(gaps, theirs, seen)
    return Inside(apart=inside.apart(len(theirs), seen.rows), area=inside.area(len(theirs), seen.rows))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Values:
    """The values in g wanted gaps, sorted: `known` of the reference, from a gap's lower edge on; `mine` of the other.

    `index` and `gap` (of known): the place among all values of the reference, and the gap. `upto` (of mine): known
    values up to each. `shift` and `ends` (g,): from the rank of a value of mine to that among all; a gap's upper edge.
    """

    known: Values
    mine: Values
    index: NDArray[np.int64]
    gap: NDArray[np.int64]
    upto: NDArray[np.int64]
    shift: NDArray[np.int64]
    ends: NDArray[np.float64]

    @classmethod
    def of(cls, gaps: Gaps, theirs: Values, seen: Counted) -> "_Values":
        wide = np.promote_types(theirs.dtype, seen.values.dtype)
        mine = _strictly_inside(gaps, seen).astype(wide, copy=False)
        mine.sort()
        # The last value that is a gap's lower edge is known too: so every gap has a value, and every value one below.
        start, stop = gaps.upto[:-1][gaps.wanted] - 1, gaps.below[1:][gaps.wanted]
        length = stop - start
        index = np.arange(length.sum()) + np.repeat(start - (np.cumsum(length) - length), length)
        known = theirs[index].astype(wide, copy=False)
        gap = np.repeat(np.arange(len(length)), length)
        upto = np.searchsorted(known, mine, side="right")
        before = np.searchsorted(gap[upto - 1], np.arange(len(length)))
        shift = seen.upto[:-1][gaps.wanted] - before
        ends = gaps.edges[1:][gaps.wanted]
        return cls(known=known, mine=mine, index=index, gap=gap, upto=upto, shift=shift, ends=ends)

    def apart(self, n: int, m: int) -> float:
        """The greatest distance: right before a value of mine, where mine is about to leap, or right at it."""
        under = self.upto.copy()
        tied = self.known[self.upto - 1] == self.mine
        under[tied] = np.searchsorted(self.known, self.mine[tied], side="left")
        rank = np.arange(len(self.mine)) + self.shift[self.gap[self.upto - 1]]
        ahead = (self.index[under - 1] + 1) / n - rank / m
        behind = (rank + 1) / m - (self.index[self.upto - 1] + 1) / n
        return float(max(ahead.max(initial=0.0), behind.max(initial=0.0)))

    def area(self, n: int, m: int) -> float:
        """Between both functions: at each value of either side their distance, times the length to the next."""
        count = len(self.known) + len(self.mine)
        at = np.arange(len(self.mine)) + self.upto
        theirs = np.ones(count, dtype=bool)
        theirs[at] = False
        points = np.empty(count)
        points[at], points[theirs] = self.mine, self.known
        last = np.cumsum(theirs) - 1
        gap = self.gap[last]
        share = (self.index[last] + 1) / n - (np.arange(count) - last + self.shift[gap]) / m
        until = np.append(points[1:], 0.0)
        until[np.append(gap[1:] != gap[:-1], [True])] = self.ends
        with np.errstate(invalid="ignore"):
            return float((np.abs(share) * (until - points)).sum())


def _strictly_inside(gaps: Gaps, seen: Counted) -> Values:
    """The other side's values between the edges of a wanted gap; a copy."""
    chosen = np.zeros(2 * len(gaps.edges) + 1, dtype=bool)
    chosen[2:-1:2] = gaps.wanted
    values: Values = seen.values[chosen.take(seen.places)]
    return values
