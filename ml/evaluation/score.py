"""Run any release's model on encoded rows, as the model server does: to judge it, and to judge the champion again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ml.data.transform import resolve

BLOCK_ROWS = 50_000  # keeps the runtime's scratch memory small whatever the table's size


def score(
    model_path: Path, serving: Mapping[str, Any], x: NDArray[np.float32]
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Predict.

    Args:
        model_path: The ONNX model.
        serving: What serving.json says: `kind`, `transform`, `classes`, `threshold`.
        x: Raw encoded rows, shape (n_rows, n_features): before the transform.

    Returns:
        Predictions of shape (n_rows,) and probabilities of shape (n_rows, n_classes), None for regression.
    """
    session = session_of(model_path)
    transform = resolve(serving["transform"])
    regression = serving["kind"] == "regression"
    output = "variable" if regression else "probabilities"
    blocks = [x[start : start + BLOCK_ROWS] for start in range(0, max(len(x), 1), BLOCK_ROWS)]
    results = [np.asarray(session.run([output], {"features": transform(block)})[0]) for block in blocks]
    result = np.concatenate(results)
    if regression:
        return result[:, 0], None
    return decide(result, serving["classes"], serving["threshold"]), result


def decide(probabilities: NDArray[np.float32], classes: Sequence[int | str], threshold: float | None) -> NDArray[Any]:
    """The label of each row: with a threshold the second class from there on, else the likeliest class."""
    chosen = probabilities.argmax(axis=1) if threshold is None else (probabilities[:, 1] >= threshold).astype(int)
    labels: NDArray[Any] = np.asarray(classes)[chosen]
    return labels


def session_of(model_path: Path) -> ort.InferenceSession:
    """The model on one thread, as every number of a release is computed."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # one order of additions: the same bits on every machine
    options.inter_op_num_threads = 1
    return ort.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])
