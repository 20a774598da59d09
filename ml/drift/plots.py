"""Compact plot data: both sides' rows in a few shared bins, small enough to lie beside a record. Pure.

`releases/<id>/drift.json` holds them; `ml/release/schema/drift-plots.json` describes it. No statistic is computed from
them: they are for eyes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import Feature
from ml.drift.category import counts

BARS = 30
CATEGORIES = 12
_TAIL = 0.005  # of the reference on either side that the outermost bars take together
Column = NDArray[np.floating]


def plot(feature: Feature, reference: Column, current: Column) -> dict[str, Any]:
    """The rows of one feature on both sides; the sides' totals differ, so shares are what to draw."""
    shown = _numbers(reference, current) if feature.kind == "number" else _categories(feature, reference, current)
    return {"kind": feature.kind, "unit": feature.unit, **shown}


def _numbers(reference: Column, current: Column) -> dict[str, Any]:
    """Equal bars over the bulk of both sides; the first and the last bar are open to the outside."""
    sides = [side[np.isfinite(side)].astype(np.float64) for side in (reference, current)]
    known = [side for side in sides if len(side)]
    missing = [len(side) - len(values) for side, values in zip((reference, current), sides, strict=True)]
    if not known:
        return {"edges": [], "reference": [], "current": [], "missing": missing}
    low = min(float(np.quantile(side, _TAIL, method="inverted_cdf")) for side in known)
    high = max(float(np.quantile(side, 1 - _TAIL, method="inverted_cdf")) for side in known)
    different = np.unique(np.concatenate([np.unique(side) for side in known]))
    different = different[(different >= low) & (different <= high)]
    edges = _between(different) if len(different) <= BARS else np.linspace(low, high, BARS + 1)[1:-1]
    bars = [np.bincount(np.searchsorted(edges, side), minlength=len(edges) + 1).tolist() for side in sides]
    ends = [_plain(low), _plain(high)]
    return {
        "edges": [_plain(e) for e in edges],
        "range": ends,
        "reference": bars[0],
        "current": bars[1],
        "missing": missing,
    }


def _between(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bounds halfway between few values, so that each value has its own bar."""
    return np.asarray((values[1:] + values[:-1]) / 2)


def _plain(number: float) -> float:
    return float(f"{number:.6g}")


def _categories(feature: Feature, reference: Column, current: Column) -> dict[str, Any]:
    """The most frequent categories of both sides together, then the others, then the missing and unknown ones."""
    left, right = counts(feature.categories, reference), counts(feature.categories, current)
    shares = left / max(left.sum(), 1) + right / max(right.sum(), 1)
    often = sorted(range(len(feature.categories)), key=lambda code: (-shares[code], code))[:CATEGORIES]
    rest = [code for code in range(len(feature.categories)) if code not in set(often)]
    labels = [feature.categories[code] for code in often]
    bars = [[*(int(side[code]) for code in often), int(side[rest].sum()), int(side[-1])] for side in (left, right)]
    return {"labels": labels, "reference": bars[0], "current": bars[1], "missing": [0, 0]}
