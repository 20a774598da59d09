"""The drift evidence of a candidate: the record's `drift`, and the plot data beside it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml.drift.compare import compare
from ml.drift.outputs import answers
from ml.drift.plots import plot
from ml.drift.reference import Reference, matrix_columns, prepare_columns
from ml.evaluation.score import score

if TYPE_CHECKING:
    from ml.problem import Problem
    from ml.training.candidate import Candidate

FILE = "drift.json"
SCHEMA = "ml-pipeline/drift/v1"


def evidence(problem: "Problem", candidate: "Candidate", policy: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """How far the judging rows and the model's answers on them lie from the reference.

    Args:
        problem: Whose features are compared.
        candidate: Trained and judged.
        policy: The policy's `drift`; its `prediction` says whether a moved answer blocks ("gate") or is reported.

    Returns:
        The record's `drift`, and the content of drift.json.
    """
    known = matrix_columns(problem.features, candidate.reference.x)
    new = matrix_columns(problem.features, candidate.test_features)
    prepared = prepare_columns(problem.features, known, candidate.reference.about, keep=True)
    plots = {f.name: plot(f, known[f.name], new[f.name]) for f in prepared.features}
    prediction, drawn = _prediction(problem, candidate, policy.get("prediction", "watch"))
    section = {
        "reference": {**candidate.reference.about, "method": "exact"},
        "features": compare(prepared, new),
        "prediction": prediction,
    }
    return section, content({"schema": SCHEMA, "features": plots, "prediction": drawn})


def content(plots: Mapping[str, Any]) -> bytes:
    """drift.json in its one byte form."""
    return (
        json.dumps(plots, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
    ).encode()


def _prediction(problem: "Problem", candidate: "Candidate", role: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if role == "ignore":
        return {}, {}
    serving = json.loads(candidate.serving_path.read_bytes())
    sides = [_answers(problem, candidate, serving, x) for x in (candidate.reference.sample(), candidate.test_features)]
    feature, known = sides[0]
    reference: Reference = prepare_columns([feature], {feature.name: known}, {}, keep=True)
    found = compare(reference, {feature.name: sides[1][1]})[feature.name]
    return {feature.name: {**found, "role": role}}, {feature.name: plot(feature, known, sides[1][1])}


def _answers(problem: "Problem", candidate: "Candidate", serving: Mapping[str, Any], x: NDArray[np.float32]) -> Any:
    return answers(problem.kind, problem.classes, *score(candidate.model_path, serving, x))
