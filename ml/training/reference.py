"""The reference rows' distribution, small enough to travel with the model: what live inputs are compared with.

Also says which rows those are. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import Feature
from ml.drift.category import counts
from ml.drift.outputs import answers
from ml.drift.seasons import reference_months
from ml.problem import Problem
from ml.training.inputs import Inputs

EDGES = 32
CATEGORIES = 32
SCORED_ROWS = 50_000


@dataclass(frozen=True, kw_only=True)
class ReferenceRows:
    """Encoded rows that new ones are compared with, shape (n_rows, n_features), and which they are, for the record."""

    x: NDArray[np.float32]
    about: dict[str, Any]

    def sample(self) -> NDArray[np.float32]:
        """Evenly spaced rows, at most `SCORED_ROWS`: enough to know the distribution of the model's answers."""
        step = -(-len(self.x) // SCORED_ROWS)
        return self.x[:: max(step, 1)]


def reference_rows(problem: Problem, inputs: Inputs) -> ReferenceRows:
    """The training rows that the problem's `drift_reference` chooses.

    Raises:
        ConfigError: If it names a month that did not train.
    """
    setting = problem.drift_reference
    selection = setting if isinstance(setting, str) else "months"
    if problem.time is None:
        about = {"selection": "training", "months": [], "rows": len(inputs.train_x)}
        return ReferenceRows(x=inputs.train_x, about=about)
    months = inputs.parts.train[problem.time].dt.strftime("%Y-%m").to_numpy(dtype=str)
    judged = inputs.parts.test[problem.time].dt.strftime("%Y-%m").max()
    wanted = reference_months(setting, np.unique(months).tolist(), judged)
    x = inputs.train_x if setting == "training" else inputs.train_x[np.isin(months, wanted)]
    return ReferenceRows(x=x, about={"selection": selection, "months": list(wanted), "rows": len(x)})


def reference(features: Sequence[Feature], x: NDArray[np.float32]) -> dict[str, dict[str, Any]]:
    """Bins of the encoded rows `x`, shape (n_rows, n_features), for each feature that is not marked `ignore`."""
    return {f.name: binned(f, x[:, index]) for index, f in enumerate(features) if f.drift != "ignore"}


def prediction_bins(
    problem: Problem, predictions: NDArray[Any], probabilities: NDArray[np.float32] | None
) -> dict[str, dict[str, Any]]:
    """Bins of the model's own answers on reference rows."""
    feature, column = answers(problem.kind, problem.classes, predictions, probabilities)
    return {feature.name: binned(feature, column)}


def binned(feature: Feature, column: NDArray[np.floating]) -> dict[str, Any]:
    """The bins of one feature."""
    if feature.kind == "number":
        return bins(column.astype(np.float32, copy=False))
    return shares(feature.categories, column)


def bins(values: NDArray[np.float32]) -> dict[str, Any]:
    """Quantile edges and counts: (-inf, e0], (e0, e1], ..., (ek, inf). Equal edges are merged."""
    known = values[~np.isnan(values)]
    # A quantile that is a value of the data: edges stay exact in float32, and integers stay integers.
    at = np.linspace(0, 1, EDGES + 2)[1:-1]
    edges = np.unique(np.quantile(known, at, method="inverted_cdf").astype(np.float32)) if len(known) else known
    found = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return {
        "edges": [float(edge) for edge in edges],
        "counts": [int(count) for count in found],
        "rows": len(values),
        "missing": len(values) - len(known),
    }


def shares(categories: Sequence[str], codes: NDArray[np.floating]) -> dict[str, Any]:
    """The most frequent categories with their counts, then all others together, then the missing and unknown ones."""
    found = counts(categories, codes)
    often = sorted(range(len(categories)), key=lambda code: (-found[code], code))[:CATEGORIES]
    rest = int(found[:-1].sum() - found[often].sum())
    return {
        "categories": [categories[code] for code in often],
        "counts": [*(int(found[code]) for code in often), rest, int(found[-1])],
        "rows": len(codes),
    }
