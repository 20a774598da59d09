"""New rows against a prepared reference: the statistics that stand in a record's `drift`. Pure; numpy and scipy only.

What they mean is the business of `ml.drift.decide`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import Feature
from ml.drift.category import CategoryReference, counts, unseen
from ml.drift.number import NumberReference, distance
from ml.drift.reference import Column, Reference
from ml.drift.statistics import chi_square, ks_p, psi, total_variation, two_proportions


def compare(reference: Reference, columns: Mapping[str, Column]) -> dict[str, dict[str, Any]]:
    """The statistics of every prepared feature, by name.

    Args:
        reference: Prepared from rows that the model knows.
        columns: The new rows' encoded values by feature name, shape (n_rows,).
    """
    return {
        feature.name: one(feature, reference.columns[feature.name], columns[feature.name])
        for feature in reference.features
    }


def one(feature: Feature, reference: NumberReference | CategoryReference, column: Column) -> dict[str, Any]:
    """The statistics of one feature; those that need rows on both sides are None without."""
    if isinstance(reference, CategoryReference):
        return category(feature.drift, reference.counts, counts(reference.categories, column))
    return number(feature.drift, reference, column)


def number(role: str, reference: NumberReference, column: Column) -> dict[str, Any]:
    """A number: KS, PSI, the Wasserstein distance in standard deviations of the reference, and the missing share."""
    absent = int(np.isnan(column).sum())
    n, m = reference.rows, len(column) - absent
    facts = {**_rows(role, "number", (n, m)), **missing((n, m), (reference.missing, absent))}
    if min(n, m) == 0:
        return {**facts, "d": None, "p": None, "psi": None, "wasserstein": None}
    found = distance(reference, column)
    spread = reference.spread if found.wasserstein is not None and reference.spread > 0 else None
    stated = {
        name: value
        for name, value in (
            ("d_error", found.d_error),
            ("wasserstein_error", found.wasserstein_error / spread if spread else 0.0),
        )
        if value > 0
    }
    return {
        **facts,
        "d": found.d,
        "p": ks_p(found.d, n, m),
        "psi": psi(*found.bins),
        "wasserstein": found.wasserstein / spread if spread and found.wasserstein is not None else None,
        **stated,
    }


def category(role: str, reference: NDArray[np.int64], current: NDArray[np.int64]) -> dict[str, Any]:
    """A category from the rows per cell, shape (n_cells,): total variation, chi-square and PSI. Missing is a cell."""
    test = chi_square(reference, current)
    return {
        **_rows(role, "category", (int(reference.sum()), int(current.sum()))),
        "missing_reference": 0,
        "missing_current": 0,
        "tv": total_variation(reference, current),
        "chi2": None if test is None else test.statistic,
        "degrees": None if test is None else test.degrees,
        "p": None if test is None else test.p,
        "psi": psi(reference, current),
        "unseen": unseen(reference, current),
    }


def missing(present: tuple[int, int], absent: tuple[int, int]) -> dict[str, Any]:
    """The missing share's part of a result; without any missing value there is nothing to test."""
    facts: dict[str, Any] = {"missing_reference": absent[0], "missing_current": absent[1]}
    if max(absent) == 0:
        return facts
    return {**facts, "missing_p": two_proportions(absent, (present[0] + absent[0], present[1] + absent[1]))}


def _rows(role: str, kind: str, rows: tuple[int, int]) -> dict[str, Any]:
    return {"role": role, "kind": kind, "n_reference": rows[0], "n_current": rows[1]}
