"""A release's three files, read once and verified: what is hashed is what is loaded.

Called at start by the server and the batch job. A release that does not verify is never loaded.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.errors import ConfigError, GateError
from ml.release import record as records
from ml.serving.model import Model
from ml.serving.runtime import Provider
from ml.serving.spec import parse

WARM_ROWS = (1, 2, 8, 64)
"""Batch sizes predicted once before the first request, so that no client waits for allocation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A verified release with its model, warmed and right on the golden rows."""

    release: str
    record: Mapping[str, Any]
    model: Model
    model_sha256: str

    @property
    def quality(self) -> float | None:
        """The offline test accuracy, or r2 for regression; None when the record has neither."""
        metrics = self.record["metrics"]
        value = metrics.get("r2" if self.model.spec.kind == "regression" else "accuracy")
        return None if value is None else float(value)


def load(directory: Path, release: str, provider: Provider = "cpu") -> Bundle:
    """Read, verify, load and prove a release.

    Args:
        directory: Holds `record.json`, `model.onnx` and `serving.json`.
        release: The id that the record must carry.
        provider: What runs the model.

    Raises:
        ConfigError: `ML-SERVE-002` a file cannot be read, `ML-SERVE-004` it is another release, `ML-SERVE-012` and
            `-013` what is to run the model is not there, or has nothing to do.
        GateError: `ML-SERVE-003` the evidence does not verify, `ML-SERVE-005` to `-009` the model is not usable.
    """
    raw, onnx, serving = (_read(directory / name) for name in ("record.json", "model.onnx", "serving.json"))
    files = {"model.onnx": hashlib.sha256(onnx).hexdigest(), "serving.json": hashlib.sha256(serving).hexdigest()}
    record = _verified(raw, files)
    if record["release"] != release:
        message = f"MODEL_VERSION={release!r}: {directory} holds release {record['release']!r}"
        raise ConfigError("ML-SERVE-004", message, "set MODEL_VERSION to the release in the image")
    model = Model(parse(serving), onnx, provider)
    model.check_golden()
    width = len(model.spec.features)
    golden = model.encoder.array(model.encoder.check(model.spec.golden.rows))
    for rows in WARM_ROWS:
        model.predict(np.resize(golden, (rows, width)))
    return Bundle(release=release, record=record, model=model, model_sha256=files["model.onnx"])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError("ML-SERVE-002", f"{path}: {error.strerror}", "set MODEL_DIR to a release") from error


def _verified(raw: bytes, files: Mapping[str, str]) -> Mapping[str, Any]:
    found = [f"{problem.code} {problem.message}" for problem in records.unsealed(raw)]
    if found:
        raise GateError("ML-SERVE-003", "record.json: " + "; ".join(found), "deploy a release that verifies and passed")
    record = records.parse(raw)
    for name, digest in files.items():
        if record["files"].get(name) != digest:
            found.append(f"{name} has sha256 {digest}, the record says {record['files'].get(name)}")
    if found:
        raise GateError("ML-SERVE-003", "; ".join(found), "deploy the files the record was sealed with")
    return record
