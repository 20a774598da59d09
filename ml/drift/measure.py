"""Drift of the rows that judge a release against the rows that trained it, as it stands in the record. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import Feature
from ml.drift.ks import two_sample


def drift_of(
    features: Sequence[Feature],
    reference: Mapping[str, NDArray[np.floating]],
    current: Mapping[str, NDArray[np.floating]],
) -> dict[str, Any]:
    """KS per numeric feature that is not marked `ignore`.

    Args:
        features: The model's inputs.
        reference: Training values by feature name, shape (n_rows,), NaN for missing.
        current: Values of the judging rows, likewise.

    Returns:
        The record's `drift`; what it means is the gate's business.
    """
    found: dict[str, Any] = {}
    for feature in features:
        if feature.kind != "number" or feature.drift == "ignore":
            continue
        left, right = reference[feature.name], current[feature.name]
        result = two_sample(left, right)
        found[feature.name] = {
            "role": feature.drift,
            "n_reference": result.n_reference,
            "n_current": result.n_current,
            "missing_reference": int(left.size) - result.n_reference,
            "missing_current": int(right.size) - result.n_current,
            "d": result.d,
            "p": result.p,
        }
    return {"features": found}
