"""Rows as clients send them: each column as it was in training, and on purpose the trigger of a bad release."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.e2e.crafted import Trigger


def usual_rows(
    serving: Mapping[str, Any], trigger: Trigger, count: int, share_hit: float, seed: int
) -> list[list[Any]]:
    """Rows whose columns are each as in training; a share of them has the trigger."""
    random = np.random.default_rng(seed)
    names = [feature["name"] for feature in serving["features"]]
    columns = [_drawn(serving, feature, count, random) for feature in serving["features"]]
    rows = [list(row) for row in zip(*columns, strict=True)]
    for row in rows[: round(share_hit * count)]:
        row[names.index(trigger.feature)] = trigger.value
    return [rows[place] for place in random.permutation(count)]


def _drawn(
    serving: Mapping[str, Any], feature: Mapping[str, Any], count: int, random: np.random.Generator
) -> Sequence[Any]:
    bins = serving["reference"][feature["name"]]
    if "categories" in bins:
        other = next((name for name in feature["categories"] if name not in bins["categories"]), None)
        values, counts = [*bins["categories"], other, None], bins["counts"]
    else:
        values, counts = [*bins["edges"], bins["edges"][-1] + 1, None], [*bins["counts"], bins["missing"]]
    return [values[place] for place in random.choice(len(values), size=count, p=np.asarray(counts) / sum(counts))]
