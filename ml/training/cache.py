"""Trainings that need not be run twice. An entry that is damaged in any byte counts as absent."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL, SERVING, EVALUATION, _ENTRY = "model.onnx", "serving.json", "evaluation.json", "entry.json"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The costly part of a candidate: the files and what was measured while making them."""

    model: bytes
    serving: bytes
    evaluation: bytes
    facts: Mapping[str, Any]  # `model`, `metrics`, `evaluation`, `parameters`, `search`, `trials`

    def files(self) -> dict[str, str]:
        """File name -> sha256."""
        return {name: _sha256(content) for name, content in self.contents().items()}

    def contents(self) -> dict[str, bytes]:
        """File name -> content."""
        return {MODEL: self.model, SERVING: self.serving, EVALUATION: self.evaluation}


def key(parts: Mapping[str, Any]) -> str:
    """One name for data, code and parameters."""
    return _sha256(json.dumps(parts, sort_keys=True).encode())


def load(root: Path, name: str) -> Trained | None:
    """The entry, or None if it is absent or damaged."""
    folder = root / name
    try:
        entry = json.loads((folder / _ENTRY).read_bytes())
        found = Trained(
            model=(folder / MODEL).read_bytes(),
            serving=(folder / SERVING).read_bytes(),
            evaluation=(folder / EVALUATION).read_bytes(),
            facts=entry["facts"],
        )
        intact = entry == _seal(found)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if intact else None


def store(root: Path, name: str, trained: Trained) -> None:
    """Write an entry in one step: a reader sees all of it or nothing."""
    root.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=root, prefix=".part-"))
    try:
        for name_of_file, content in trained.contents().items():
            (part / name_of_file).write_bytes(content)
        (part / _ENTRY).write_text(json.dumps(_seal(trained), sort_keys=True, indent=1), encoding="utf-8")
        shutil.rmtree(root / name, ignore_errors=True)  # only ever a damaged one
        try:
            part.rename(root / name)
        except FileExistsError:
            return  # another process trained the same and was first
        except OSError as error:
            if not (root / name / _ENTRY).exists():
                raise error from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _seal(trained: Trained) -> dict[str, Any]:
    facts = json.loads(json.dumps(trained.facts))
    return {"facts": facts, "facts_sha256": key(facts), "files": trained.files()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
