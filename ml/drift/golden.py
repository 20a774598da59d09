"""A release's golden rows, and the answers they get, in the bins of its reference. Pure.

Whoever sends golden rows as probes sends the same few rows again and again: they must be taken out of live counts
before those say anything about what clients send.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ml.drift.live import Live


def without(live: Live, serving: Mapping[str, Any], sent: int) -> Live:
    """The counts without golden rows that were sent in turn.

    Args:
        live: What was counted.
        serving: The release's `serving.json`.
        sent: How many golden rows were answered; those that are not counted yet do not make a count negative.
    """
    golden = serving["golden"]
    each = sent / len(golden["rows"])
    known = {feature["name"]: feature.get("categories") or () for feature in serving["features"]}
    classes = [str(label) for label in serving.get("classes") or []]
    features, predictions = {}, {}
    for name, bins in serving["reference"].items():
        values = [_value(row, list(known), name) for row in golden["rows"]]
        features[name] = _less(live.features.get(name, {}), _bins(bins, known[name], values), each)
    for name, bins in serving.get("predictions", {}).items():
        answered = _bins(bins, classes, _answers(serving, name))
        predictions[name] = _less(live.predictions.get(name, {}), answered, each)
    return Live(features=features, predictions=predictions)


def _less(counted: Mapping[str, float], golden: Counter[str], each: float) -> Mapping[str, float]:
    return {label: max(rows - each * golden[label], 0.0) for label, rows in counted.items()}


def _value(row: Sequence[Any] | Mapping[str, Any], names: Sequence[str], name: str) -> Any:
    return row.get(name) if isinstance(row, Mapping) else row[names.index(name)]


def _answers(serving: Mapping[str, Any], output: str) -> Sequence[Any]:
    golden = serving["golden"]
    if output == "score":
        return [row[1] for row in golden["probabilities"]]
    return [str(label) for label in golden["predictions"]] if output == "class" else list(golden["predictions"])


def _bins(bins: Mapping[str, Any], known: Sequence[str], values: Sequence[Any]) -> Counter[str]:
    """The labels of the values, as `ml.serving.bins` counts them."""
    if "categories" in bins:
        at = {name: str(index) for index, name in enumerate(bins["categories"])}
        return Counter(at.get(value, "other" if value in known else "unknown") for value in values)
    # the server counts what it has encoded, as 32-bit floats
    return Counter(
        "missing" if value is None else str(bisect_left(bins["edges"], float(np.float32(value)))) for value in values
    )
