"""The champion on the candidate's rows: both are judged on the same flights, or the comparison would mean nothing."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import Feature, encode_rows
from ml.errors import GateError
from ml.evaluation.metrics import evaluate
from ml.evaluation.score import score
from ml.gate.metrics import plain
from ml.problem import Problem
from ml.release.store import Release

_TOLERANCE = 1e-5  # of a probability: what another processor's arithmetic may change


def rescore(champion: Release, problem: Problem, x: NDArray[np.float32], labels: NDArray[Any]) -> dict[str, Any]:
    """The champion's metrics on the candidate's test rows.

    Args:
        champion: A release that verifies.
        problem: The candidate's.
        x: Raw encoded rows by the candidate's features, shape (n_rows, n_features).
        labels: Shape (n_rows,).

    Raises:
        GateError: If the champion cannot be compared: another problem, inputs that the candidate's data lack, or
            answers on its own golden rows that differ from those it was released with.
    """
    serving = json.loads((champion.directory / "serving.json").read_bytes())
    if (serving["problem"], serving["kind"]) != (problem.name, problem.kind):
        raise _incomparable(champion, f"it predicts {serving['problem']} ({serving['kind']}), not {problem.name}")
    features = [Feature.from_json(feature) for feature in serving["features"]]
    columns = _columns(champion, features, problem.features)
    _check_golden(champion, serving, features)
    predictions, probabilities = score(champion.directory / "model.onnx", serving, x[:, columns])
    metrics = evaluate(problem.kind, labels, predictions, probabilities, classes=problem.classes or None)
    return {name: plain(float(value)) for name, value in metrics.items()}


def _columns(champion: Release, theirs: Sequence[Feature], ours: Sequence[Feature]) -> list[int]:
    """Where the champion's inputs stand in the candidate's rows; they must be encoded in the same way."""
    places = {(feature.name, feature.kind, feature.categories): index for index, feature in enumerate(ours)}
    missing = [f.name for f in theirs if (f.name, f.kind, f.categories) not in places]
    if missing:
        raise _incomparable(champion, f"its inputs {', '.join(missing)} are not in the data, or are encoded otherwise")
    return [places[feature.name, feature.kind, feature.categories] for feature in theirs]


def _check_golden(champion: Release, serving: Mapping[str, Any], features: Sequence[Feature]) -> None:
    """The transform may have changed since the champion was released; its score would be another model's."""
    golden = serving["golden"]
    predictions, probabilities = score(
        champion.directory / "model.onnx", serving, encode_rows(features, golden["rows"])
    )
    expected = golden["predictions"] if probabilities is None else golden["probabilities"]
    got = predictions if probabilities is None else probabilities
    if not np.allclose(got, np.asarray(expected), rtol=_TOLERANCE, atol=_TOLERANCE):
        raise _incomparable(champion, "its golden rows come out differently: the transform's code changed since then")


def _incomparable(champion: Release, reason: str) -> GateError:
    message = f"champion {champion.id} cannot be compared with the candidate: {reason}"
    return GateError("ML-GATE-002", message, "compare with another release (--champion ID), or --champion none")
