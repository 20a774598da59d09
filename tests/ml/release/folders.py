"""Release folders of made-up content, for tests of what reads them."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml.release import store
from ml.release.example import example
from ml.release.record import canonical_bytes
from tests.ml.release.signing import sign_folder

SERVING = {"schema": "ml-pipeline/serving/v1", "problem": "example", "transform": None}


def write_release(
    root: Path,
    release_id: str,
    change: Callable[[dict[str, Any]], None] | None = None,
    model: bytes = b"model",
    more: Mapping[str, bytes] | None = None,
) -> Path:
    """A release that verifies, unless `change` spoils its evidence."""
    directory = root / "releases" / release_id
    directory.mkdir(parents=True)
    files = {"model.onnx": model, "serving.json": json.dumps(copy.deepcopy(SERVING)).encode(), **(more or {})}
    for name, content in files.items():
        (directory / name).write_bytes(content)

    def facts(fields: dict[str, Any]) -> None:
        fields["release"] = release_id
        fields["problem"] = release_id[:-5]
        earlier = [found for found in store.list_ids(root) if found[:-5] == release_id[:-5] and found < release_id]
        if earlier:  # judged against the one before
            live = store.load(root, earlier[-1])
            fields["champion"] |= {"release": live.id, "digest": live.digest}
        fields["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        fields["evaluation"]["model_sha256"] = fields["files"]["model.onnx"]
        if change is not None:
            change(fields)

    (directory / "record.json").write_bytes(canonical_bytes(example(facts)))
    sign_folder(directory)
    return directory
