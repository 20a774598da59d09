"""Small sealed releases with a real ONNX model each: made in milliseconds, no training."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ml.data.schema import Feature, encode_rows
from ml.release.example import example
from ml.release.record import canonical_bytes

IRIS = tuple(Feature(name=f"{part}_{side}", kind="number", unit="cm", minimum=0.0, maximum=100.0)
             for part in ("sepal", "petal") for side in ("length", "width"))  # fmt: skip
DELAY = (
    Feature(name="distance", kind="number", unit="mi", minimum=0.0, maximum=5000.0),
    Feature(name="carrier", kind="category", categories=("AA", "UA", "DL")),
    Feature(name="gust", kind="number", minimum=0.0, maximum=200.0, nullable=True),
)
UNBOUNDED = (Feature(name="a", kind="number"), Feature(name="b", kind="number"))

IRIS_WEIGHTS = np.array([[0.4, 0.5, -0.9], [1.3, -0.3, -1.0], [-2.0, 0.2, 1.8], [-0.9, -1.2, 2.0]], dtype=np.float32)
DELAY_WEIGHTS = np.array([[-0.001, 0.001], [-0.5, 0.5], [-0.02, 0.02]], dtype=np.float32)
SUM_WEIGHTS = np.array([[3.0], [3.0]], dtype=np.float32)


def fill(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """A transform: missing numbers become 10."""
    return np.where(np.isnan(x), np.float32(10), x)


def softmax(x: NDArray[np.float32]) -> NDArray[np.float32]:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = e / e.sum(axis=1, keepdims=True)
    return probabilities


def linear_model(weights: NDArray[np.float32], output: str) -> bytes:
    """features @ weights, through a softmax when the output is 'probabilities'."""
    width, outputs = weights.shape
    nodes = [helper.make_node("MatMul", ["features", "w"], ["scores" if output == "probabilities" else output])]
    if output == "probabilities":
        nodes.append(helper.make_node("Softmax", ["scores"], [output], axis=1))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, outputs])],
        [helper.make_tensor("w", TensorProto.FLOAT, list(weights.shape), weights.ravel().tolist())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def iris_serving() -> dict[str, Any]:
    rows = [[5.1, 3.5, 1.4, 0.2], [6.0, 2.9, 4.5, 1.5], [6.3, 3.3, 6.0, 2.5]]
    classes = ["setosa", "versicolor", "virginica"]
    probabilities = softmax(np.array(rows, dtype=np.float32) @ IRIS_WEIGHTS)
    golden = {
        "rows": rows,
        "predictions": [classes[i] for i in probabilities.argmax(axis=1)],
        "probabilities": probabilities.tolist(),
    }
    return _serving("iris", "multiclass", IRIS, golden, classes=classes)


def delay_serving() -> dict[str, Any]:
    rows: list[Any] = [[100, "AA", 5.0], {"distance": 2500.0, "carrier": "DL"}, [4000, "??", None]]
    probabilities = softmax(fill(encode_rows(DELAY, rows)) @ DELAY_WEIGHTS)
    golden = {
        "rows": rows,
        "predictions": [bool(p >= 0.6) for p in probabilities[:, 1]],
        "probabilities": probabilities.tolist(),
    }
    transform = "tests.ml.serving.releases:fill"
    return _serving("delay", "binary", DELAY, golden, classes=[False, True], threshold=0.6, transform=transform)


def sum_serving() -> dict[str, Any]:
    rows = [[1.0, 2.0], [0.5, -0.5]]
    golden = {"rows": rows, "predictions": [9.0, 0.0], "probabilities": None}
    return _serving("sum", "regression", UNBOUNDED, golden)


KINDS: dict[str, tuple[Callable[[], dict[str, Any]], NDArray[np.float32], str]] = {
    "multiclass": (iris_serving, IRIS_WEIGHTS, "probabilities"),
    "binary": (delay_serving, DELAY_WEIGHTS, "probabilities"),
    "regression": (sum_serving, SUM_WEIGHTS, "variable"),
}


def make_release(
    directory: Path,
    kind: str = "multiclass",
    *,
    serving_change: Callable[[dict[str, Any]], None] | None = None,
    record_change: Callable[[dict[str, Any]], None] | None = None,
) -> str:
    """Write record.json, model.onnx and serving.json; returns the release id."""
    build, weights, output = KINDS[kind]
    serving = build()
    if serving_change is not None:
        serving_change(serving)
    files = {"model.onnx": linear_model(weights, output), "serving.json": json.dumps(serving).encode()}
    release = f"{serving['problem']}-0001"
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)

    def change(fields: dict[str, Any]) -> None:
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        fields |= {"release": release, "problem": serving["problem"], "kind": kind, "files": digests}
        if kind == "regression":
            fields |= {"metrics": {"r2": 0.7, "rmse": 2.0}, "champion": None}
            fields["gate"]["policy"]["floors"] = {"r2": 0.5}
        if record_change is not None:
            record_change(fields)

    (directory / "record.json").write_bytes(canonical_bytes(example(change)))
    return release


def check_model() -> None:
    """The models are valid ONNX; called once by a test, since `onnx.checker` takes longer than everything else."""
    for _, weights, output in KINDS.values():
        onnx.checker.check_model(onnx.load_from_string(linear_model(weights, output)), full_check=True)


def _serving(
    problem: str, kind: str, features: Sequence[Feature], golden: dict[str, Any], **more: Any
) -> dict[str, Any]:
    edges = {"edges": [1.0, 2.0, 5.0], "counts": [1, 1, 1, 0], "rows": 3, "missing": 0}
    return {
        "schema": "ml-pipeline/serving/v1",
        "problem": problem,
        "kind": kind,
        "features": [feature.to_json() for feature in features],
        "transform": None,
        "classes": [],
        "threshold": None,
        "golden": golden,
        "reference": {feature.name: edges for feature in features if feature.kind == "number"},
        **more,
    }
