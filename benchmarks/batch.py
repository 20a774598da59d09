"""`python -m benchmarks.batch`: a worker of a run over shards beside scikit-learn's own `predict`, one process each.

The estimator is fitted here and exported, so that both sides have the same model; its labels are compared row by row
before any time is told. Sides alternate in rounds, each in a process of its own with one thread. scikit-learn is timed
twice: `predict` alone, on a matrix that is ready, and with what a job has to do around it: read the same Parquet file,
encode it, write the labels. Our worker reads, checks every value, predicts label and probability, writes and hashes.
"""

import argparse
import hashlib
import json
import os
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from ml.batch.worker import Run, open_run, predict_shard
from ml.data.schema import encode_columns
from ml.data.transform import resolve
from ml.problem import current
from ml.serving.bundle import Bundle
from ml.serving.model import Model
from ml.serving.spec import parse
from ml.training.export import to_onnx
from toolchain import paths

Side = Literal["ours", "predict", "whole"]
NAMES: Mapping[Side, str] = {
    "ours": "our worker: read, check, predict, write",
    "predict": "scikit-learn: predict alone, matrix ready",
    "whole": "scikit-learn: read, encode, predict, write",
}
TRAIN_ROWS, SEED = 60_000, 20131124
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")


@dataclass(frozen=True, kw_only=True)
class Files:
    """What the sides share, in one folder."""

    folder: Path

    @property
    def rows(self) -> Path:
        """The whole year, one column a feature."""
        return self.folder / "year.parquet"

    @property
    def estimator(self) -> Path:
        """The fitted estimator: pickled, since this run made it itself."""
        return self.folder / "estimator.pickle"

    @property
    def onnx(self) -> Path:
        """Its other form."""
        return self.folder / "model.onnx"

    @property
    def serving(self) -> Path:
        """Says how rows are encoded, and what a label is."""
        return self.folder / "serving.json"


def main() -> int:
    """Measure, print the table, write `.build/bench/batch.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", choices=tuple(NAMES), help="measure one side once, in this process")
    options = parser.parse_args()
    files = Files(folder=paths.scratch() / "bench" / "batch-data")
    if options.side is not None:
        print(json.dumps(SIDES[options.side](files)))
        return 0
    _prepare(files)
    found: dict[Side, list[float]] = {side: [] for side in NAMES}
    labels: dict[Side, str] = {}
    for number in range(options.rounds):
        for side in NAMES:
            print(f"round {number + 1} of {options.rounds}: {NAMES[side]}", file=sys.stderr)
            done = _measured(side)
            found[side].append(done["seconds"])
            labels[side] = done["labels"]
            if len(set(labels.values())) > 1:
                raise SystemExit(f"the sides do not answer the same: {labels}")
    return _report(found, pq.read_metadata(files.rows).num_rows)


def _measured(side: Side) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.batch", "--side", side]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=600)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _prepare(files: Files) -> None:
    """The rows, and one model in both forms."""
    problem = current()
    table = problem.load(None, None)
    files.folder.mkdir(parents=True, exist_ok=True)
    names = [feature.name for feature in problem.features]
    pq.write_table(pa.Table.from_pandas(table[names], preserve_index=False), files.rows)
    known = table[table[problem.target].notna()].sample(TRAIN_ROWS, random_state=SEED)
    columns = resolve(problem.transform)(
        encode_columns(problem.features, {name: known[name].tolist() for name in names})
    )
    estimator = problem.estimator(SEED).fit(columns, known[problem.target].astype(type(problem.classes[0])))
    files.estimator.write_bytes(pickle.dumps(estimator))
    files.onnx.write_bytes(to_onnx(estimator, name=problem.name, n_columns=columns.shape[1]))
    serving = json.loads((paths.repo_root() / "releases" / "flights-0001" / "serving.json").read_bytes())
    serving["threshold"] = 0.5  # what `predict` decides by
    files.serving.write_text(json.dumps(serving), encoding="utf-8")


def _ours(files: Files) -> dict[str, Any]:
    pa.set_cpu_count(1)
    model = Model(parse(files.serving.read_bytes()), files.onnx.read_bytes())
    bundle = Bundle(release="bench-0001", record={"digest": "0" * 64}, model=model, model_sha256="")
    run = Run(source=files.rows, folder=files.folder / f"run-{os.getpid()}", bundle=bundle, shards=1)
    started = time.perf_counter()
    predict_shard(open_run(run), 0)
    seconds = time.perf_counter() - started
    part = run.folder / run.names(0).part
    return {"seconds": seconds, "labels": _digest(pq.read_table(part)["prediction"].to_numpy())}


def _encoded(files: Files) -> Any:
    problem = current()
    table = pq.read_table(files.rows, use_threads=False)
    columns = {feature.name: table[feature.name].to_pylist() for feature in problem.features}
    return resolve(problem.transform)(encode_columns(problem.features, columns))


def _predict(files: Files) -> dict[str, Any]:
    estimator, matrix = _estimator(files), _encoded(files)
    started = time.perf_counter()
    labels = estimator.predict(matrix)
    return {"seconds": time.perf_counter() - started, "labels": _digest(labels)}


def _whole(files: Files) -> dict[str, Any]:
    pa.set_cpu_count(1)
    estimator = _estimator(files)
    started = time.perf_counter()
    labels = estimator.predict(_encoded(files))
    pq.write_table(
        pa.table({"row": np.arange(1, len(labels) + 1), "prediction": labels}), files.folder / "labels.parquet"
    )
    return {"seconds": time.perf_counter() - started, "labels": _digest(labels)}


SIDES: Mapping[Side, Callable[[Files], dict[str, Any]]] = {"ours": _ours, "predict": _predict, "whole": _whole}


def _estimator(files: Files) -> Any:
    return pickle.loads(files.estimator.read_bytes())  # noqa: S301  (written by this benchmark)


def _digest(labels: Any) -> str:
    return hashlib.sha256(np.asarray(labels, dtype=np.int64).tobytes()).hexdigest()


def _report(found: Mapping[Side, list[float]], rows: int) -> int:
    seconds = {side: statistics.median(times) for side, times in found.items()}
    table = Table(title=f"{rows:,} rows, one process, one thread, median of {len(found['ours'])}")
    for heading in ("side", "s", "rows/s", "ours is"):
        table.add_column(heading, justify="left" if heading == "side" else "right")
    for side, name in NAMES.items():
        faster = "" if side == "ours" else f"{seconds[side] / seconds['ours']:.2f} x as fast"
        table.add_row(name, f"{seconds[side]:.2f}", f"{rows / seconds[side]:,.0f}", faster)
    Console().print(table)
    out = paths.scratch() / "bench" / "batch.json"
    load = os.getloadavg()[0]
    out.write_text(json.dumps({"rows": rows, "load": load, "seconds": found}, indent=2) + "\n", encoding="utf-8")
    print(f"the labels of all sides are the same; load of the machine {load:.1f}; {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
