"""Fit the estimator and turn it into the two files of a model. Deterministic: one thread, one seed."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ml.data.transform import resolve
from ml.errors import ConfigError, DataError
from ml.evaluation.score import score
from ml.problem import Problem
from ml.training.cache import Trained
from ml.training.export import OPSET, parity, to_onnx
from ml.training.inputs import Inputs
from ml.training.judged import Measure, judge
from ml.training.reference import prediction_bins, reference_rows
from ml.training.serving_spec import golden, spec


def fit(problem: Problem, inputs: Inputs, *, seed: int, parameters: Mapping[str, Any], measure: Measure) -> Trained:
    """Train, export, prove parity on all test rows, choose the threshold and measure.

    `parameters` is a point of the problem's space, or empty for the estimator as written.

    Raises:
        DataError: If a class has no training rows.
        ConfigError: If the problem's classes are not in sorted order.
        PipelineError: If the ONNX model differs from the estimator.
    """
    _refuse_labels(problem, inputs.train_labels)
    transform = resolve(problem.transform)
    columns = transform(inputs.train_x)
    estimator = problem.estimator(seed, **parameters)
    with threadpool_limits(limits=1):  # sums in one order: the same model on one core and on sixteen
        estimator.fit(columns, inputs.train_labels)
        model = to_onnx(estimator, name=problem.name, n_columns=columns.shape[1])
        agreed = parity(estimator, model, transform(inputs.test_x))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        known = reference_rows(problem, inputs)
        serving = spec(problem, threshold=None, reference_x=known.x)
        serving["threshold"] = _threshold(problem, serving, path, inputs)
        serving["predictions"] = prediction_bins(problem, *score(path, serving, known.sample()))
        serving["golden"] = golden(problem, serving, path, inputs.parts.test)
        judged = judge(problem, inputs, path, serving, measure)
    facts = {
        "model": {
            "bytes": len(model),
            "opset": OPSET[""],
            "parity_max_abs_diff": agreed.max_abs_diff,
            "parity_rows": agreed.rows,
        },
        "metrics": judged.metrics,
        "evaluation": judged.evaluation,
        "parameters": {"seed": seed, "threshold": serving["threshold"], **_plain(estimator.get_params(deep=True))},
    }
    text = json.dumps(serving, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return Trained(model=model, serving=text.encode(), evaluation=judged.document, facts=facts)


def _refuse_labels(problem: Problem, labels: NDArray[Any]) -> None:
    if problem.kind == "regression":
        return
    if list(problem.classes) != sorted(set(problem.classes), key=lambda c: (str(type(c)), c)):
        raise ConfigError("ML-TRAIN-006", f"classes {problem.classes!r}: must be sorted and unique", "sort them")
    missing = sorted(set(problem.classes) - set(np.unique(labels).tolist()), key=str)
    if missing:
        raise DataError(
            "ML-TRAIN-007", f"class {missing[0]!r} has 0 training rows; at least 1 is needed", "train on more months"
        )


def _threshold(problem: Problem, serving: dict[str, Any], model_path: Path, inputs: Inputs) -> float | None:
    if problem.kind != "binary":
        return None
    if problem.threshold != "prevalence":
        return problem.threshold
    _, probabilities = score(model_path, serving, inputs.train_x)
    positives = int((inputs.train_labels == problem.classes[1]).sum())
    if probabilities is None:
        raise TypeError("a binary model has probabilities")
    # From the k-th highest probability on there are as many predicted positives as real ones.
    return round(float(np.sort(probabilities[:, 1])[-positives]), 6)


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """The estimator's settings that are values; its parts appear under their own names (`trees__max_iter`)."""
    return {name: value for name, value in sorted(parameters.items()) if isinstance(value, str | int | float | None)}
