"""How fast our server's parts are in one process, without sockets: what is left for HTTP, and what metrics cost."""

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.model import RELEASE, BenchModel
from ml.serving.app import App
from ml.serving.bins import FeatureBins
from ml.serving.bundle import load
from ml.serving.http import Request
from ml.serving.metrics import Metrics

CALLS = 2000
TURN = 32
REPEATS = 7


def measure(model: BenchModel) -> Mapping[str, float]:
    """Microseconds a request; the median of `REPEATS`, which alternate between the things compared."""
    import joblib  # noqa: PLC0415  (scikit-learn: seconds)

    onnx = load(model.release, RELEASE).model
    estimator = joblib.load(model.estimator)
    rows = {count: model.rows[:count] for count in (1, 32)}
    with_metrics, without = App(load(model.release, RELEASE), keys=None), _silent(model.release)
    body = b'{"features":%b}' % str(model.rows[0].astype(float).tolist()).encode()
    parts: dict[str, Callable[[], float]] = {
        "ONNX Runtime, 1 row": lambda: _per_call(onnx.predict, rows[1]),
        "ONNX Runtime, 32 rows": lambda: _per_call(onnx.predict, rows[32]),
        "scikit-learn, 1 row": lambda: _per_call(estimator.predict_proba, rows[1]),
        "scikit-learn, 32 rows": lambda: _per_call(estimator.predict_proba, rows[32]),
        f"application, 1 row, {TURN} requests a turn": lambda: asyncio.run(_per_request(with_metrics, body)),
        "the same without metrics": lambda: asyncio.run(_per_request(without, body)),
    }
    found: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(REPEATS):
        for name, part in parts.items():
            found[name].append(part())
    return {name: statistics.median(values) for name, values in found.items()}


def _per_call(predict: Callable[[NDArray[np.float32]], Any], rows: NDArray[np.float32]) -> float:
    calls = CALLS // 4
    started = time.process_time()
    for _ in range(calls):
        predict(rows)
    return (time.process_time() - started) / calls * 1e6


async def _per_request(app: App, body: bytes) -> float:
    """From a request whose head is read to its answer, as the connection asks for it."""
    started = time.process_time()
    for _ in range(CALLS // TURN):
        answered: list[Any] = []
        for _ in range(TURN):
            request = Request(b"POST", "/predict", {b"content-length": b"1"}, True, time.perf_counter(), body)
            app.admit(request)
            app.handle(request, answered.append)
        while len(answered) < TURN:  # noqa: ASYNC110 - one turn of the loop
            await asyncio.sleep(0)
        if any(answer.status != 200 for answer in answered):
            raise SystemExit(f"the application refused a request: {answered[0].body!r}")
    return (time.process_time() - started) / (CALLS // TURN * TURN) * 1e6


class _SilentMetrics(Metrics):
    """Counts nothing."""

    def count(self, route: str, status: int) -> None:
        """Count nothing."""

    def observe(self, seconds: float) -> None:
        """Observe nothing."""


class _NoBins(FeatureBins):
    """Counts no values."""

    def add(self, raw: NDArray[np.float32], answers: NDArray[np.float64]) -> None:
        """Count nothing."""


def _silent(folder: Path) -> App:
    app = App(load(folder, RELEASE), keys=None)
    metrics = app.metrics
    app.metrics = _SilentMetrics(metrics.info, metrics.quality, metrics.bins, {})
    app._batcher._bins = _NoBins(load(folder, RELEASE).model.spec)  # noqa: SLF001 - the measured difference
    return app
