"""Judge a trained model on the test rows: the metrics, the record's `evaluation` and the content of evaluation.json."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import report
from ml.evaluation.metrics import evaluate
from ml.evaluation.score import score
from ml.problem import Problem
from ml.training.inputs import Inputs

Measure = Callable[[bytes, Mapping[str, Any], NDArray[np.float32]], Mapping[str, Any]]
"""`ml.evaluation.runtime.measure`, or what a test has in its place."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """`metrics` and `evaluation` go into the record, `document` into evaluation.json."""

    metrics: Mapping[str, float]
    evaluation: Mapping[str, Any]
    document: bytes


def judge(
    problem: Problem, inputs: Inputs, model_path: Path, serving: Mapping[str, Any], measure: Measure
) -> Evaluated:
    """Score the test rows with the exported model, as the server will, and measure everything about the answers."""
    predictions, probabilities = score(model_path, serving, inputs.test_x)
    judged = report.Judged(
        kind=problem.kind,
        labels=inputs.test_labels,
        predictions=predictions,
        probabilities=probabilities,
        classes=problem.classes,
    )
    model = model_path.read_bytes()
    digest = hashlib.sha256(model).hexdigest()
    runtime = measure(model, serving, inputs.test_x)
    return Evaluated(
        metrics=evaluate(problem.kind, inputs.test_labels, predictions, probabilities, classes=problem.classes or None),
        evaluation=report.section(judged, model_sha256=digest, runtime=runtime),
        document=report.to_bytes(report.document(judged, model_sha256=digest)),
    )
