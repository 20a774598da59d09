"""A trained estimator as ONNX, the only model format, with the proof that both say the same."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import is_classifier

from ml.errors import PipelineError

OPSET = {"": 18, "ai.onnx.ml": 3}
MAX_PARITY_DIFF = 1e-5


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Largest difference between the estimator and its ONNX form, over so many rows."""

    max_abs_diff: float
    rows: int


def to_onnx(estimator: Any, *, name: str, n_columns: int) -> bytes:
    """The model as bytes; the same estimator gives the same bytes in every process."""
    options = {id(estimator): {"zipmap": False}} if is_classifier(estimator) else None
    model = convert_sklearn(
        estimator,
        name=name,
        initial_types=[("features", FloatTensorType([None, n_columns]))],
        options=options,
        target_opset=OPSET,
    )
    # The converter collects these in sets, so their order changes with PYTHONHASHSEED.
    _sort(model.opset_import, key=lambda entry: entry.domain)
    for node in model.graph.node:
        _sort(node.attribute, key=lambda entry: entry.name)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def parity(estimator: Any, model: bytes, columns: NDArray[np.float32]) -> Parity:
    """Compare probabilities (regression: predictions) on every row.

    Args:
        estimator: The fitted estimator.
        model: Its ONNX form.
        columns: Rows after the transform, shape (n_rows, n_columns).

    Raises:
        PipelineError: If they differ by more than `MAX_PARITY_DIFF`, or either is not finite.
    """
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    if is_classifier(estimator):
        (got,) = session.run(["probabilities"], {"features": columns})
        want = estimator.predict_proba(columns)
    else:
        (got,) = session.run(["variable"], {"features": columns})
        want = np.reshape(estimator.predict(columns), (-1, 1))
    difference = float(np.abs(np.asarray(got, dtype=np.float64) - want).max())
    # A regression in thousands cannot agree to 1e-5: float32 has seven digits.
    limit = MAX_PARITY_DIFF * max(1.0, float(np.abs(want).max()))
    if not difference <= limit:  # catches NaN as well
        raise PipelineError(
            "ML-TRAIN-005",
            f"ONNX and the estimator differ by {difference:.2e} on {len(columns)} rows; at most {limit:.2e} is allowed",
            "choose an estimator that skl2onnx converts exactly",
        )
    return Parity(max_abs_diff=difference, rows=len(columns))


def _sort(field: Any, *, key: Any) -> None:
    entries = sorted(field, key=key)
    copies = [type(entry).FromString(entry.SerializeToString(deterministic=True)) for entry in entries]
    del field[:]
    field.extend(copies)
