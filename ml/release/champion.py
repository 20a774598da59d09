"""The champion on the candidate's rows: both are judged on the same flights, or the comparison would mean nothing."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import Feature, encode_rows
from ml.errors import GateError
from ml.evaluation.difference import Answers, prediction_diff
from ml.evaluation.metrics import evaluate
from ml.evaluation.score import score
from ml.evaluation.slices import compared
from ml.gate.metrics import plain
from ml.problem import Problem
from ml.release.judged import paired_with, truth_of
from ml.release.store import Release

if TYPE_CHECKING:
    from ml.training.candidate import Candidate

_TOLERANCE = 1e-5  # of a probability: what another processor's arithmetic may change


def section(champion: Release, problem: Problem, candidate: "Candidate", ours: Answers) -> dict[str, Any]:
    """The record's `champion`: how it does on the candidate's test rows, and how far the two models' answers differ.

    Args:
        champion: A release that verifies.
        problem: The candidate's.
        candidate: With its test rows.
        ours: The candidate's answers to them.

    Raises:
        GateError: If the champion cannot be compared.
    """
    theirs = answers(champion, problem, candidate.test_features)
    return {
        "release": champion.id,
        "digest": champion.digest,
        "metrics": metrics_of(problem, candidate.test_labels, theirs),
        "paired": paired_with(problem, candidate, ours, theirs),
        "slices": compared(candidate.slices, truth_of(problem, candidate), ours, theirs),
        "prediction_diff": _plain(prediction_diff(candidate.test_features, ours, theirs)),
    }


def metrics_of(problem: Problem, labels: NDArray[Any], given: Answers) -> dict[str, Any]:
    """Every metric of these answers, as a record holds it."""
    found = evaluate(problem.kind, labels, given.predictions, given.probabilities, classes=problem.classes or None)
    return {name: plain(float(value)) for name, value in found.items()}


def answers(champion: Release, problem: Problem, x: NDArray[np.float32]) -> Answers:
    """What the champion says to the candidate's test rows.

    Args:
        champion: A release that verifies.
        problem: The candidate's.
        x: Raw encoded rows by the candidate's features, shape (n_rows, n_features).

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
    return Answers(*score(champion.directory / "model.onnx", serving, x[:, columns]))


def _plain(value: Any) -> Any:
    """NaN and infinity as JSON can hold them: a champion that answers NaN is evidence, not a crash."""
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, Mapping) else plain(value)


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
