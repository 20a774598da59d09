"""The Open Inference Protocol v2: metadata and `POST /v2/models/<name>/infer`.

Inputs are one tensor a feature, shape [n] or [n, 1]; where every feature is a number, one tensor "features" of shape
[n, m] is taken as well. Source of the shapes: https://github.com/kserve/open-inference-protocol (REST).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from ml.data.schema import RowError
from ml.serving.batching import Answer
from ml.serving.encoder import Encoder, RowTuple
from ml.serving.http import RequestError
from ml.serving.predict import MAX_ROWS, lenient_json, too_many_rows
from ml.serving.spec import Spec

ALL_FEATURES = "features"
NUMBERS = frozenset({"FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
Datatype = Literal[
    "BOOL", "BYTES", "FP16", "FP32", "FP64",
    "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64",
]  # fmt: skip


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a request; `data` is flat or nested, in row-major order."""

    name: str
    shape: list[int]
    datatype: Datatype
    data: list[Any]
    parameters: dict[str, Any] | None = None


class InferBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an inference request; members we do not use are ignored, as the protocol allows."""

    inputs: list[Tensor]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A decoded inference request."""

    rows: Sequence[RowTuple]
    id: str | None


class InferCodec:
    """Decodes inference requests and encodes their answers for one release."""

    def __init__(self, spec: Spec, encoder: Encoder, version: str) -> None:
        self._spec = spec
        self._encoder = encoder
        self._version = version
        self._decode = msgspec.json.Decoder(InferBody).decode

    def metadata(self, model_sha256: str) -> dict[str, Any]:
        """The answer of `GET /v2/models/<name>`; the protocol leaves `parameters` to the server."""
        inputs = [
            {"name": feature.name, "datatype": "FP64" if feature.kind == "number" else "BYTES", "shape": [-1]}
            for feature in self._spec.features
        ]
        outputs = [{"name": "predictions", "datatype": self._label_type(), "shape": [-1]}]
        if self._spec.kind != "regression":
            outputs.append({"name": "probabilities", "datatype": "FP64", "shape": [-1, len(self._spec.classes or [])]})
        return {
            "name": self._spec.problem,
            "versions": [self._version],
            "platform": "onnxruntime_onnx",
            "inputs": inputs,
            "outputs": outputs,
            "parameters": {"model_sha256": model_sha256},
        }

    def decode(self, body: bytes) -> InferRequest:
        """Read and check a body.

        Raises:
            RequestError: 400 malformed_json; 422 invalid_request, invalid_features or too_many_rows.
        """
        try:
            request = self._decode(body)
        except msgspec.ValidationError as error:
            raise RequestError(422, "invalid_request", str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            try:
                request = msgspec.convert(lenient_json(body, error), InferBody)
            except msgspec.ValidationError as invalid:
                raise RequestError(422, "invalid_request", str(invalid)) from invalid
        rows = self._rows(request.inputs)
        try:
            return InferRequest(self._encoder.check(rows), request.id)
        except RowError as error:
            raise RequestError(422, "invalid_features", str(error)) from error

    def encode(self, request: InferRequest, answer: Answer) -> bytes:
        """The JSON answer, with every class's probability."""
        count = len(answer.labels)
        outputs: list[dict[str, Any]] = [
            {"name": "predictions", "shape": [count], "datatype": self._label_type(), "data": answer.labels}
        ]
        if answer.scores is not None:
            shape = [count, answer.probabilities.shape[1]]
            data = answer.probabilities.ravel().tolist()
            outputs.append({"name": "probabilities", "shape": shape, "datatype": "FP64", "data": data})
        value = {"model_name": self._spec.problem, "model_version": self._version, "outputs": outputs}
        return msgspec.json.encode(value if request.id is None else {**value, "id": request.id})

    def _label_type(self) -> str:
        if not self._spec.classes:  # regression
            return "FP64"
        return {bool: "BOOL", int: "INT64", float: "FP64"}.get(type(self._spec.classes[0]), "BYTES")

    def _rows(self, tensors: Sequence[Tensor]) -> list[Any]:
        by_name = {tensor.name: tensor for tensor in tensors}
        if len(by_name) != len(tensors):
            raise RequestError(422, "invalid_request", "two inputs have the same name")
        names = [feature.name for feature in self._spec.features]
        if set(by_name) == {ALL_FEATURES} and names != [ALL_FEATURES]:
            return _matrix(by_name[ALL_FEATURES], len(names))
        unknown = sorted(set(by_name) - set(names))
        if unknown:
            message = f"unknown input {unknown[0]!r}; expected {', '.join(names)}"
            raise RequestError(422, "invalid_features", message)
        return _by_columns(by_name)


def _matrix(tensor: Tensor, width: int) -> list[Any]:
    if len(tensor.shape) != 2 or tensor.shape[1] != width:
        raise RequestError(422, "invalid_features", f"input 'features' has shape {tensor.shape}, expected [n, {width}]")
    if tensor.datatype not in NUMBERS:
        raise RequestError(422, "invalid_features", f"input 'features' has datatype {tensor.datatype}, not a number's")
    data = _flat(tensor)
    return [data[start : start + width] for start in range(0, len(data), width)]


def _by_columns(tensors: Mapping[str, Tensor]) -> list[Any]:
    columns: dict[str, list[Any]] = {}
    for name, tensor in tensors.items():
        if len(tensor.shape) > 2 or (len(tensor.shape) == 2 and tensor.shape[1] != 1):
            raise RequestError(422, "invalid_features", f"input {name!r} has shape {tensor.shape}, expected [n]")
        columns[name] = _flat(tensor)
    counts = {len(data) for data in columns.values()}
    if len(counts) != 1:
        raise RequestError(422, "invalid_features", f"the inputs have different numbers of rows: {sorted(counts)}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _flat(tensor: Tensor) -> list[Any]:
    """The tensor's values in row-major order; their number must be what the shape says."""
    data = tensor.data
    if len(tensor.shape) == 2 and all(isinstance(item, list) for item in data):
        data = [value for row in data for value in row]
    rows = tensor.shape[0] if tensor.shape else 0
    if rows > MAX_ROWS:
        raise too_many_rows(rows)
    expected = rows * (tensor.shape[1] if len(tensor.shape) == 2 else 1)
    if rows < 1 or len(data) != expected:
        message = f"input {tensor.name!r} has shape {tensor.shape} and {len(data)} values"
        raise RequestError(422, "invalid_request", message)
    return data
