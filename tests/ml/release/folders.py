"""Release folders of made-up content, for tests of what reads them."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml.release.example import example
from ml.release.record import canonical_bytes

SERVING = {"schema": "ml-pipeline/serving/v1", "problem": "example", "transform": None}


def write_release(
    root: Path, release_id: str, change: Callable[[dict[str, Any]], None] | None = None, model: bytes = b"model"
) -> Path:
    """A release that verifies, unless `change` spoils its evidence."""
    directory = root / "releases" / release_id
    directory.mkdir(parents=True)
    files = {"model.onnx": model, "serving.json": json.dumps(copy.deepcopy(SERVING)).encode()}
    for name, content in files.items():
        (directory / name).write_bytes(content)

    def facts(fields: dict[str, Any]) -> None:
        fields["release"] = release_id
        fields["problem"] = release_id[:-5]
        fields["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        if change is not None:
            change(fields)

    (directory / "record.json").write_bytes(canonical_bytes(example(facts)))
    return directory
