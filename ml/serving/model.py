"""One release's model in memory: checked rows in, labels and probabilities out.

Owns the ONNX session, the transform of the user's folder and the decision rule. The server's hot path and the batch
job both predict through it, so they cannot differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.transform import Transform, resolve
from ml.errors import GateError
from ml.serving.encoder import Encoder
from ml.serving.runtime import SESSION_FAULTS, Provider, open_runtime
from ml.serving.spec import Spec

GOLDEN_TOLERANCE = 1e-5
"""Largest difference of a golden probability or number, absolute and relative: float32 on another CPU, not drift."""

MODEL_FAULTS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, *SESSION_FAULTS)
"""What a transform or the runtime may raise on rows: costs the request, never the server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Predictions for n rows.

    `probabilities` is (n_rows, n_classes), or the numbers themselves as (n_rows, 1) for regression; `scores` the
    probability of each predicted label, None for regression; `finite` is False where a value of the row is not.
    """

    labels: list[Any]
    scores: list[float] | None
    probabilities: NDArray[np.float64]
    finite: NDArray[np.bool_]


class Model:
    """Predicts for one release. Not thread safe; one event loop or one batch job owns it."""

    def __init__(self, spec: Spec, onnx: bytes, provider: Provider = "cpu") -> None:
        self.spec = spec
        self.encoder = Encoder(spec.features)
        self._transform = _transform(spec.transform)
        runtime = open_runtime(onnx, provider)
        self._session, self.nodes = runtime.session, runtime.nodes
        self._inputs, self._outputs = _names(self._session, spec)
        self._classes = spec.classes or []
        self._threshold = 0.5 if spec.threshold is None else spec.threshold  # spec.py: binary always has one

    def predict(self, raw: NDArray[np.float32]) -> Output:
        """Predict encoded rows, (n_rows, n_features)."""
        result: NDArray[np.float32] = self._session.run(self._outputs, {self._inputs: self._transform(raw)})[0]
        finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(result), axis=1)
        values = result.astype(np.float64)
        if self.spec.kind == "regression":
            return Output(labels=values[:, 0].tolist(), scores=None, probabilities=values, finite=finite)
        # on float32, as ml.evaluation.score decides: a value at the threshold must not change sides in between
        if self.spec.kind == "binary":
            chosen = (result[:, 1] >= self._threshold).astype(np.intp)
        else:
            chosen = result.argmax(axis=1)
        labels = [self._classes[index] for index in chosen.tolist()]
        scores = values[np.arange(len(chosen)), chosen].tolist()
        return Output(labels=labels, scores=scores, probabilities=values, finite=finite)

    def check_golden(self) -> None:
        """Prove that this process gives the answers the trained estimator gave.

        Raises:
            GateError: `ML-SERVE-007`, with the first rows that differ.
        """
        golden = self.spec.golden
        raw = self.encoder.array(self.encoder.check(golden.rows))
        raw.setflags(write=False)
        try:
            output = self.predict(raw)
        except MODEL_FAULTS as error:
            raise GateError("ML-SERVE-007", f"the golden rows cannot be predicted: {error}") from error
        wrong = self._golden_differences(output)
        if wrong:
            shown = "; ".join(wrong[:10]) + (f"; and {len(wrong) - 10} more" if len(wrong) > 10 else "")
            raise GateError("ML-SERVE-007", f"golden rows differ: {shown}", "create the release again")

    def _golden_differences(self, output: Output) -> list[str]:
        golden = self.spec.golden
        regression = self.spec.kind == "regression"
        expected = [[value] for value in golden.predictions] if regression else golden.probabilities or []
        wrong = []
        for index, row in enumerate(expected):
            got = output.probabilities[index]
            close = len(row) == len(got) and np.allclose(got, row, rtol=GOLDEN_TOLERANCE, atol=GOLDEN_TOLERANCE)
            same = regression or output.labels[index] == golden.predictions[index]
            if not (close and same):
                answer = f"{golden.predictions[index]!r} {row}"
                wrong.append(f"row {index}: got {output.labels[index]!r} {got.tolist()}, expected {answer}")
        return wrong


def _transform(path: str | None) -> Transform:
    try:
        return resolve(path)
    except (ImportError, ValueError) as error:
        raise GateError("ML-SERVE-009", f"transform {path!r}: {error}", "put its module into the image") from error


def _names(session: Any, spec: Spec) -> tuple[str, Sequence[str]]:
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    wanted = "variable" if spec.kind == "regression" else "probabilities"
    if inputs != ["features"] or wanted not in outputs:
        shape = f"model.onnx has inputs {inputs} and outputs {outputs}"
        raise GateError("ML-SERVE-006", f"{shape}; {spec.kind} needs input 'features' and output {wanted!r}")
    return inputs[0], [wanted]
