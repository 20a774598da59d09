"""Trainings that need not be run twice, kept in a cache of `ml.data.cache`: bounded, and damaged is absent."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ml.data.cache import Cache, key

__all__ = ["MAX_MIB", "Trained", "key", "load", "store"]

MODEL, SERVING, EVALUATION = "model.onnx", "serving.json", "evaluation.json"
MAX_MIB = 512.0  # some hundred trainings of the reference problem


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The costly part of a candidate: the files and what was measured while making them."""

    model: bytes
    serving: bytes
    evaluation: bytes
    facts: Mapping[str, Any]  # `model`, `metrics`, `evaluation`, `parameters`, `search`, `trials`

    def files(self) -> dict[str, str]:
        """File name -> sha256."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in self.contents().items()}

    def contents(self) -> dict[str, bytes]:
        """File name -> content."""
        return {MODEL: self.model, SERVING: self.serving, EVALUATION: self.evaluation}


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    model: bytes
    serving: bytes
    evaluation: bytes
    facts: bytes  # JSON: what a record will hold, so nothing else may come back


def load(root: Path, name: str) -> Trained | None:
    """The entry, or None if it is absent or damaged. It is in memory then: nothing that evicts can take it away."""
    content = _cache(root).get(name)
    if content is None:
        return None
    entry = msgspec.msgpack.decode(content, type=_Entry)
    facts = json.loads(entry.facts)
    return Trained(model=entry.model, serving=entry.serving, evaluation=entry.evaluation, facts=facts)


def store(root: Path, name: str, trained: Trained) -> None:
    """Write an entry in one step: a reader sees all of it or nothing."""
    facts = json.dumps(trained.facts, sort_keys=True).encode()
    entry = _Entry(model=trained.model, serving=trained.serving, evaluation=trained.evaluation, facts=facts)
    _cache(root).put(name, msgspec.msgpack.encode(entry))


def _cache(root: Path) -> Cache:
    return Cache(root, max_mib=MAX_MIB)
