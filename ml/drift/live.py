"""Live counts of one window against the reference in a release's `serving.json`, as a record's `drift` looks. Pure.

The statistics know the bins only: every distance is at most the true one, and exact at the bins' edges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.drift.compare import category, missing
from ml.drift.statistics import ks_binned, ks_p, psi
from ml.errors import DataError

FEATURES = "ml_feature_bin_total"
PREDICTIONS = "ml_prediction_bin_total"
"""The server's counters: a row for each feature and bin, and for each output and bin."""
Counts = Mapping[str, Mapping[str, float]]
"""Column -> bin ("0", "1", .. and what is in none of them) -> rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """The rows of one window, by feature, and the answers that they got, by output."""

    features: Counts
    predictions: Counts


def section(serving: Mapping[str, Any], live: Live, prediction_role: str = "watch") -> dict[str, Any]:
    """The statistics of every feature that has a reference and is not ignored, and of the answers.

    Raises:
        DataError: If the reference cannot be read.
    """
    try:
        roles = {feature["name"]: feature["drift"] for feature in serving["features"]}
        features = {
            name: _one(roles[name], bins, live.features.get(name, {}))
            for name, bins in serving["reference"].items()
            if roles[name] != "ignore"
        }
        answers = serving.get("predictions", {}) if prediction_role != "ignore" else {}
        prediction = {
            name: _one(prediction_role, bins, live.predictions.get(name, {})) for name, bins in answers.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"serving.json: the reference of the release cannot be read: {error!r}"
        raise DataError("ML-DRIFT-001", message, "mlp release verify ID") from error
    return {"features": features, "prediction": prediction}


def rows(live: Live) -> int:
    """How many rows the window has: those of the feature with the most."""
    return max((round(sum(bins.values())) for bins in live.features.values()), default=0)


def _one(role: str, bins: Mapping[str, Any], live: Mapping[str, float]) -> dict[str, Any]:
    # Prometheus extrapolates an increase, so it is no whole number of rows.
    if "categories" in bins:
        labels = [*(str(index) for index in range(len(bins["categories"]))), "other", "unknown"]
        known, seen = bins["counts"], [round(live.get(label, 0.0)) for label in labels]
        return category(role, np.asarray(known, dtype=np.int64), np.asarray(seen, dtype=np.int64))
    current = [round(live.get(str(index), 0.0)) for index in range(len(bins["counts"]))]
    return _number(role, bins, current, round(live.get("missing", 0.0)))


def _number(role: str, bins: Mapping[str, Any], current: Sequence[int], absent: int) -> dict[str, Any]:
    known = bins["counts"]
    n, m = round(sum(known)), sum(current)
    d = ks_binned(known, current)
    return {
        "role": role,
        "kind": "number",
        "n_reference": n,
        "n_current": m,
        **missing((n, m), (int(bins.get("missing", 0)), absent)),
        "d": d,
        "p": None if d is None else ks_p(d, n, m),
        "psi": psi(known, current),
    }
