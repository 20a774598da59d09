"""What one prediction of the exported model costs: size, time and memory, on one core of this machine.

`measure` starts a process of its own (this module as a program), so that the memory is the model's and not the
training's. Measured is what the model server does between a decoded request and its answer: the transform and the
model. Figures of a machine, not of a model alone: the gate holds them against generous limits, and a training that is
reused keeps the figures of its first run.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.transform import resolve
from ml.errors import PipelineError
from ml.evaluation.score import session_of
from toolchain import paths

WARM_UP_CALLS = 200
ROUNDS = 5
CALLS = 1000  # a round; p99 is then the tenth slowest
ROUND_S = 1.0  # a slow model gets fewer calls, but at least `MIN_CALLS`
MIN_CALLS = 100
BATCH = 32
SAMPLE_ROWS = 1000
_DEADLINE_S = 120.0
_MIB = 2**20


def measure(model: bytes, serving: Mapping[str, Any], x: NDArray[np.float32]) -> dict[str, Any]:
    """Measure the model in a process of its own; some seconds.

    Args:
        model: The ONNX model.
        serving: What serving.json says; only `transform` and `kind` matter here.
        x: Raw encoded rows, shape (n_rows, n_features); the first `SAMPLE_ROWS` are scored over and over.

    Returns:
        `bytes`, `p50_ms_1_row`, `p99_ms_1_row` (each the median of the rounds, so that one disturbed round does not
        count), `us_per_row_32`, `peak_rss_mib` (growth of the process from before the model was loaded to its peak).

    Raises:
        PipelineError: If the process fails or takes too long.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(model)
        (folder / "serving.json").write_text(json.dumps(dict(serving)), encoding="utf-8")
        np.save(folder / "rows.npy", x[:SAMPLE_ROWS])
        figures = _in_a_process(folder)
    return {"bytes": len(model), **figures}


def _in_a_process(folder: Path) -> dict[str, Any]:
    # The transform is the user's module, so the child finds modules where this process does.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ml.evaluation.runtime", str(folder)]
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=paths.repo_root(),
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(f"took longer than {_DEADLINE_S:.0f} s") from error
    if done.returncode != 0:
        raise _failed(f"exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _failed(reason: str) -> PipelineError:
    return PipelineError("ML-EVAL-002", f"the model's run time cannot be measured: {reason}", "mlp train")


def main(folder: Path) -> dict[str, float]:
    """Measure, in this process.

    Args:
        folder: With model.onnx, serving.json and rows.npy.
    """
    rows = np.load(folder / "rows.npy")
    serving = json.loads((folder / "serving.json").read_bytes())
    transform = resolve(serving["transform"])
    transform(rows[:1])  # imports are not the model's memory
    before = reset_peak_rss()
    session = session_of(folder / "model.onnx")
    output = "variable" if serving["kind"] == "regression" else "probabilities"

    def predict(x: NDArray[np.float32]) -> None:
        session.run([output], {"features": transform(x)})

    single = [_timed(predict, rows, 1) for _ in range(ROUNDS)]
    batch = [_timed(predict, rows, BATCH) for _ in range(ROUNDS)]
    return {
        "p50_ms_1_row": _figure(np.median([np.quantile(times, 0.5) for times in single]) / 1e6),
        "p99_ms_1_row": _figure(np.median([np.quantile(times, 0.99) for times in single]) / 1e6),
        "us_per_row_32": _figure(np.median([np.quantile(times, 0.5) for times in batch]) / 1e3 / BATCH),
        "peak_rss_mib": _figure(max(0, peak_rss() - before) / _MIB),
    }


def _timed(predict: Callable[[NDArray[np.float32]], None], rows: NDArray[np.float32], size: int) -> NDArray[np.int64]:
    """Nanoseconds of each call; rows follow each other, so that no call repeats the last one's branches."""
    starts = [index * size % max(1, len(rows) - size + 1) for index in range(CALLS)]
    inputs = [np.take(rows, range(start, start + size), axis=0, mode="wrap") for start in starts]
    for x in inputs[:WARM_UP_CALLS]:
        predict(x)
    times: list[int] = []
    end = time.perf_counter_ns() + ROUND_S * 1e9
    for x in inputs:
        start = time.perf_counter_ns()
        predict(x)
        stop = time.perf_counter_ns()
        times.append(stop - start)
        if stop > end and len(times) >= MIN_CALLS:
            break
    return np.asarray(times, dtype=np.int64)


def _figure(value: float) -> float:
    return float(f"{float(value):.4g}")


def reset_peak_rss() -> int:
    """Forget the peak so far (Linux), and return the bytes that the process has now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def peak_rss() -> int:
    """The most bytes that the process has had since; `getrusage` would count the parent's from before the start."""
    return _status("VmHWM")


def _status(field: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
    if match is None:
        raise OSError(f"/proc/self/status has no {field}")
    return int(match[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
