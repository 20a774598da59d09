"""The model of the serving benchmark: one estimator, as a sealed release for our server and as itself for the peer."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import Feature
from ml.release.example import example
from ml.release.record import canonical_bytes

RELEASE = "bench-0001"
CLASSES = ["malignant", "benign"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchModel:
    """Where both forms of the model lie, and rows to ask for, (n_rows, 30)."""

    release: Path
    estimator: Path
    rows: NDArray[np.float32]


def build(directory: Path) -> BenchModel:
    """Fit 100 trees on scikit-learn's breast cancer data and write both forms."""
    # libraries of seconds, which the tests of the benchmark's other parts need not load
    import joblib  # noqa: PLC0415
    from skl2onnx import to_onnx  # noqa: PLC0415
    from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415
    from sklearn.ensemble import GradientBoostingClassifier  # noqa: PLC0415

    data = load_breast_cancer()
    rows = data.data.astype(np.float32)
    estimator = GradientBoostingClassifier(n_estimators=100, random_state=0).fit(rows, data.target)
    release = directory / RELEASE
    release.mkdir(parents=True, exist_ok=True)
    joblib.dump(estimator, directory / "estimator.joblib")
    onnx = to_onnx(
        estimator,
        initial_types=[("features", FloatTensorType([None, rows.shape[1]]))],
        options={"zipmap": False},
        target_opset=17,
    )
    serving = json.dumps(_serving([str(name) for name in data.feature_names], estimator, rows)).encode()
    _seal(release, {"model.onnx": onnx.SerializeToString(), "serving.json": serving})
    return BenchModel(release=release, estimator=directory / "estimator.joblib", rows=rows)


def _serving(names: list[str], estimator: Any, rows: NDArray[np.float32]) -> dict[str, Any]:
    golden = rows[:5]
    probabilities = estimator.predict_proba(golden)
    features = [Feature(name=name, kind="number", minimum=0.0, maximum=1e6) for name in names]
    deciles = np.quantile(rows.astype(np.float64), np.linspace(0.1, 0.9, 9), axis=0).T
    return {
        "schema": "ml-pipeline/serving/v1",
        "problem": "bench",
        "kind": "binary",
        "features": [feature.to_json() for feature in features],
        "transform": None,
        "classes": CLASSES,
        "threshold": 0.5,
        "golden": {
            "rows": golden.astype(np.float64).tolist(),
            "predictions": [CLASSES[int(row[1] >= 0.5)] for row in probabilities],
            "probabilities": probabilities.tolist(),
        },
        "reference": {
            name: {"edges": edges.tolist(), "counts": [0] * 10, "rows": len(rows), "missing": 0}
            for name, edges in zip(names, deciles, strict=True)
        },
    }


def _seal(directory: Path, files: dict[str, bytes]) -> None:
    """A record that verifies; its evidence is the made-up example's, since nothing here is ever deployed."""

    def change(fields: dict[str, Any]) -> None:
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        fields |= {"release": RELEASE, "problem": "bench", "files": digests}

    for name, content in files.items():
        (directory / name).write_bytes(content)
    (directory / "record.json").write_bytes(canonical_bytes(example(change)))
