"""The servers of `make bench-serving`: how each is started, asked and understood. All serve the same estimator."""

import hashlib
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.model import CLASSES, RELEASE, BenchModel
from benchmarks.peers import environment

KEY = "the-key-of-the-benchmark"
Rows = list[list[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """One server. `body` makes a request of rows, `probabilities` reads the second class's of its answer, (n_rows,)."""

    name: str
    command: Sequence[str]
    port: int
    ready: str
    path: Callable[[int], str]
    body: Callable[[Rows], Any]
    probabilities: Callable[[Any], NDArray[np.float64]]
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def all_of(model: BenchModel, directory: Path) -> list[Server]:
    """Ours first, then the peers."""
    return [_ours(model, directory), _fastapi(model), _mlserver(model, directory), _mlflow(model, directory)]


def _ours(model: BenchModel, directory: Path) -> Server:
    keys = directory / "keys"
    keys.write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n", encoding="utf-8")
    port = _free_port()
    release = {"MODEL_DIR": str(model.release), "MODEL_VERSION": RELEASE, "API_KEYS_FILE": str(keys)}

    def read(answer: Any) -> NDArray[np.float64]:
        labels = np.array([label == CLASSES[1] for label in answer["predictions"]])
        scores = np.array(answer["probabilities"])
        return np.where(labels, scores, 1 - scores)

    return Server(
        name="ml.serving (metrics, keys)",
        command=[sys.executable, "-m", "ml.serving"],
        environment=release | {"HOST": "127.0.0.1", "PORT": str(port)},
        port=port,
        ready="/ready",
        path=lambda _: "/predict",
        body=lambda rows: {"features": rows[0]} if len(rows) == 1 else {"instances": rows},
        probabilities=read,
        headers={"X-API-Key": KEY},
    )


def _fastapi(model: BenchModel) -> Server:
    port = _free_port()

    def read(answer: Any) -> NDArray[np.float64]:
        labels = np.array([label == CLASSES[1] for label in answer["predictions"]])
        scores = np.array(answer["probabilities"])
        return np.where(labels, scores, 1 - scores)

    return Server(
        name="FastAPI + scikit-learn",
        command=[sys.executable, "-m", "benchmarks.peer", str(model.estimator), str(port)],
        port=port,
        ready="/ready",
        path=lambda rows: "/predict" if rows == 1 else "/predict-many",
        body=lambda rows: {"features": rows[0]} if len(rows) == 1 else {"instances": rows},
        probabilities=read,
    )


def _mlserver(model: BenchModel, directory: Path) -> Server:
    """MLServer with its own scikit-learn runtime, in one process: on one core its workers only cost."""
    folder = directory / "mlserver"
    folder.mkdir(exist_ok=True)
    port, grpc, metrics = _free_port(), _free_port(), _free_port()
    settings = {
        "host": "127.0.0.1", "http_port": port, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 0,
        "debug": False,
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    runtime = {
        "name": "bench",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(model.estimator.resolve()), "version": "1"},
    }
    (folder / "model-settings.json").write_text(json.dumps(runtime), encoding="utf-8")
    python = environment("serving-peer", Path(__file__).with_name("serving-peer.txt"))

    def body(rows: Rows) -> Any:
        shape = [len(rows), len(rows[0])]
        tensor = {"name": "x", "shape": shape, "datatype": "FP32", "data": [value for row in rows for value in row]}
        return {"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}

    return Server(
        name="MLServer 1.7 (metrics)",
        command=[str(python.with_name("mlserver")), "start", str(folder)],
        environment={"PYTHONPATH": "", "PYTHONWARNINGS": "ignore"},
        port=port,
        ready="/v2/models/bench/ready",
        path=lambda _: "/v2/models/bench/infer",
        body=body,
        probabilities=lambda answer: np.array(answer["outputs"][0]["data"]).reshape(-1, 2)[:, 1],
    )


def _mlflow(model: BenchModel, directory: Path) -> Server:
    """MLflow's scoring server, as `mlflow models serve` starts it, with one worker."""
    import mlflow.sklearn  # noqa: PLC0415  (seconds, which the tests of the benchmark's other parts need not load)

    folder = directory / "mlflow-model"
    if not folder.is_dir():
        import joblib  # noqa: PLC0415

        mlflow.sklearn.save_model(
            joblib.load(model.estimator),
            str(folder),
            pyfunc_predict_fn="predict_proba",
            serialization_format="cloudpickle",
            pip_requirements=[],
        )
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local"]
    return Server(
        name="mlflow models serve",
        command=[*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        environment={"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true", "PATH": _path()},
        port=port,
        ready="/ping",
        path=lambda _: "/invocations",
        body=lambda rows: {"inputs": rows},
        probabilities=lambda answer: np.array(answer["predictions"])[:, 1],
    )


def _path() -> str:
    """MLflow starts `uvicorn` by name."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
