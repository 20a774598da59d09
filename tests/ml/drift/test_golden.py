"""Our own probes, taken out of live counts again: nothing may be left of them, whatever kind of model answered."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.drift.golden import without
from ml.drift.live import Live
from ml.serving.bins import FeatureBins
from ml.serving.bundle import load
from tests.ml.serving.releases import make_release

OUTPUTS: dict[str, Any] = {
    "binary": {"score": {"edges": [0.2, 0.5, 0.8], "counts": [1, 1, 1, 0]}},
    "multiclass": {"class": {"categories": ["virginica", "setosa"], "counts": [1, 1, 1, 0]}},
    "regression": {"value": {"edges": [1.0, 5.0], "counts": [1, 1, 0]}},
}
CARRIERS = {"carrier": {"categories": ["DL"], "counts": [1, 1, 1]}}


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_nothing_is_left_of_golden_rows_that_the_server_counted(tmp_path: Path, kind: str) -> None:
    def change(serving: dict[str, Any]) -> None:
        serving["predictions"] = OUTPUTS[kind]
        serving["reference"] |= CARRIERS if kind == "binary" else {}

    model = load(tmp_path, make_release(tmp_path, kind, serving_change=change)).model
    serving = json.loads((tmp_path / "serving.json").read_bytes())
    raw = model.encoder.array(model.encoder.check(serving["golden"]["rows"]))
    bins = FeatureBins(model.spec)
    for _ in range(3):
        bins.add(raw, np.asarray(model.predict(raw).probabilities))
    live = Live(
        features={name: dict(counts) for name, counts in bins.counts()},
        predictions={name: dict(counts) for name, counts in bins.answers()},
    )

    one_left = without(live, serving, 2 * len(raw))
    left = without(live, serving, 3 * len(raw))

    columns = [*live.features.values(), *live.predictions.values()]
    assert {sum(counts.values()) for counts in columns} == {3 * len(raw)}
    assert [sum(counts.values()) for counts in [*one_left.features.values(), *one_left.predictions.values()]] == [
        len(raw)
    ] * len(columns)
    assert not any(sum(counts.values()) for counts in [*left.features.values(), *left.predictions.values()])


def test_probes_that_are_not_counted_yet_make_no_count_negative() -> None:
    serving = {
        "features": [{"name": "a"}],
        "reference": {"a": {"edges": [1.0], "counts": [1, 1]}},
        "golden": {"rows": [[0.5]], "predictions": [1]},
    }

    left = without(Live(features={"a": {"0": 3.0, "1": 2.0}}, predictions={}), serving, 5)

    assert left.features == {"a": {"0": 0.0, "1": 2.0}}
