"""What training hands over: the facts of a release record, the files, and the rows to judge others on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.slices import Slice
from ml.problem import Kind
from ml.training.reference import ReferenceRows


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A trained and judged model that is not a release yet.

    Attributes:
        data: `source`, `snapshot_sha256`, `train` and `test` ({from, to, rows}), `dropped` {reason: rows}.
        tree_sha256: Of the code that made it.
        lock_sha256: Of requirements.txt.
        environment: `python` and `packages`.
        parameters: Seed, months, threshold and the estimator's own.
        search: The record's section about the hyper-parameter search; None if there was none.
        trials: One entry a trial of that search, for the tracking server.
        files: File name -> sha256.
        model: `bytes`, `opset`, `parity_max_abs_diff`, `parity_rows`.
        metrics: Measured on the test rows with the ONNX model.
        evaluation: The record's `evaluation`, as far as this model alone decides it.
        evaluation_path: evaluation.json, which a report is drawn from.
        test_features: Raw encoded test rows, shape (n_test, n_features).
        test_labels: Shape (n_test,), of the classes' type.
        reference: Drift: the rows that the test rows are compared with.
        slices: Groups of the test rows, by row number.
        reused: True if an earlier, identical training was found in the cache.
    """

    problem: str
    kind: Kind
    data: Mapping[str, Any]
    tree_sha256: str
    lock_sha256: str
    environment: Mapping[str, Any]
    parameters: Mapping[str, Any]
    search: Mapping[str, Any] | None
    trials: Sequence[Mapping[str, Any]]
    files: Mapping[str, str]
    model: Mapping[str, Any]
    metrics: Mapping[str, float]
    evaluation: Mapping[str, Any]
    model_path: Path
    serving_path: Path
    evaluation_path: Path
    test_features: NDArray[np.float32]
    test_labels: NDArray[Any]
    reference: ReferenceRows
    reused: bool
    slices: tuple[Slice, ...] = ()
