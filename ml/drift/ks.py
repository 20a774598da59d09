"""Two-sample Kolmogorov-Smirnov, on values and on counts over shared bins. Pure; numpy and scipy only.

A tiny difference becomes significant with enough rows, so a p-value alone decides nothing: the gate also asks for a
least D. Called by the gate's evidence (`measure`) and by the live check (`live`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special


@dataclass(frozen=True, kw_only=True, slots=True)
class KS:
    """The greatest distance between two distribution functions, in [0, 1], and how likely chance alone reaches it.

    `d` and `p` are None when a sample is empty: there is no distribution to compare.
    """

    n_reference: int
    n_current: int
    d: float | None
    p: float | None


def two_sample(reference: NDArray[np.floating], current: NDArray[np.floating]) -> KS:
    """KS of two samples of values; NaN stands for missing and is left out."""
    left, right = (np.sort(sample[~np.isnan(sample)]) for sample in (reference, current))
    if left.size == 0 or right.size == 0:
        return KS(n_reference=left.size, n_current=right.size, d=None, p=None)
    from scipy.stats import ks_2samp  # noqa: PLC0415  (half a second, which the live check does not need)

    # The exact method takes minutes on some sizes and differs by less than 1e-3 where the gate has enough rows.
    found = ks_2samp(left, right, method="asymp")
    return KS(n_reference=left.size, n_current=right.size, d=float(found.statistic), p=float(found.pvalue))


def binned(reference: ArrayLike, current: ArrayLike) -> KS:
    """KS of two samples counted over the same bins, each of shape (n_bins,), counts at least 0.

    D is exact at the bins' edges, hence at most the D of the values. The p-value is the limit distribution's, which
    is conservative for binned values: chance is never called drift more often than said.

    Source: Kolmogorov's limit distribution with the effective size n m / (n + m); Hodges (1958).
    """
    counts = [np.asarray(sample, dtype=np.float64) for sample in (reference, current)]
    if counts[0].shape != counts[1].shape:
        raise ValueError(f"{counts[0].shape} and {counts[1].shape}: both samples must be counted over the same bins")
    n, m = (float(sample.sum()) for sample in counts)
    if n == 0 or m == 0:
        return KS(n_reference=int(n), n_current=int(m), d=None, p=None)
    d = float(np.abs(np.cumsum(counts[0]) / n - np.cumsum(counts[1]) / m).max())
    d = min(d, 1.0)  # cumulated shares may exceed 1 by a rounding error
    p = float(special.kolmogorov(np.sqrt(n * m / (n + m)) * d))
    return KS(n_reference=int(n), n_current=int(m), d=d, p=p)
