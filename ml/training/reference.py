"""The training rows' distribution, small enough to travel with the model: what live inputs are compared with. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import Feature

EDGES = 32


def measured(features: Sequence[Feature]) -> list[tuple[int, Feature]]:
    """The features whose distribution is watched, with their column."""
    return [(i, f) for i, f in enumerate(features) if f.kind == "number" and f.drift != "ignore"]


def columns(features: Sequence[Feature], x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Name -> values, shape (n_rows,), missing ones as NaN."""
    return {feature.name: x[:, index] for index, feature in measured(features)}


def reference(features: Sequence[Feature], x: NDArray[np.float32]) -> dict[str, dict[str, Any]]:
    """Bins of the encoded rows `x`, shape (n_rows, n_features), for each measured feature."""
    return {name: bins(values) for name, values in columns(features, x).items()}


def bins(values: NDArray[np.float32]) -> dict[str, Any]:
    """Quantile edges and counts: (-inf, e0], (e0, e1], ..., (ek, inf). Equal edges are merged."""
    known = values[~np.isnan(values)]
    # A quantile that is a value of the data: edges stay exact in float32, and integers stay integers.
    shares = np.linspace(0, 1, EDGES + 2)[1:-1]
    edges = np.unique(np.quantile(known, shares, method="inverted_cdf").astype(np.float32)) if len(known) else known
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return {
        "edges": [float(edge) for edge in edges],
        "counts": [int(count) for count in counts],
        "rows": len(values),
        "missing": len(values) - len(known),
    }
