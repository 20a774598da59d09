"""Prepared inputs of a training, kept by data, code and parameters, so that a rerun need not check and encode again."""

import io
import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ml.data import stores
from ml.data.cache import Cache, key
from ml.data.contract import Ledger
from ml.data.systemic import Age
from ml.training import lineage
from ml.training.split import Split

if TYPE_CHECKING:
    from ml.problem import Problem
    from ml.training.inputs import Inputs

MAX_MIB = 1024.0
_MATRICES = ("train_x", "train_labels", "test_x", "test_labels")


def cache() -> Cache:
    """Where the prepared inputs of this checkout lie."""
    return Cache(stores.prepared(), max_mib=MAX_MIB)


def name(problem: "Problem", snapshot_sha256: str, through: str | None, seed: int) -> str:
    """Of everything that decides the inputs."""
    return key(
        {
            "snapshot_sha256": snapshot_sha256,
            "left_out": None if problem.pin is None else problem.pin.left_out,
            "tree_sha256": lineage.tree_sha256(problem.package),
            "lock_sha256": lineage.lock_sha256(),
            "environment": lineage.environment(),
            "problem": problem.package,
            "through": through,
            "seed": seed,
        }
    )


def encode(inputs: "Inputs") -> bytes:
    """As bytes; `decode` reads them back."""
    facts = {
        "snapshot_sha256": inputs.snapshot_sha256,
        "snapshot_rows": inputs.snapshot_rows,
        "ledger": asdict(inputs.ledger),
        "age": None if inputs.age is None else _age_facts(inputs.age),
    }
    arrays = {part: getattr(inputs, part) for part in _MATRICES}
    arrays |= {"facts": _bytes(json.dumps(facts).encode())}
    arrays |= {"train": _bytes(_frame(inputs.parts.train)), "test": _bytes(_frame(inputs.parts.test))}
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def decode(content: bytes) -> dict[str, Any]:
    """The fields of `Inputs`.

    Raises:
        ValueError: If this is not what `encode` writes.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        facts = json.loads(arrays["facts"].tobytes())
        age = facts["age"]
        return {
            "parts": Split(train=_table(arrays["train"]), test=_table(arrays["test"])),
            "ledger": Ledger(**facts["ledger"]),
            "age": None if age is None else Age(**{**age, **{k: _moment(age[k]) for k in ("newest", "as_of")}}),
            "snapshot_sha256": facts["snapshot_sha256"],
            "snapshot_rows": facts["snapshot_rows"],
            **{part: arrays[part] for part in _MATRICES},
        }


def _age_facts(age: Age) -> dict[str, Any]:
    return {"newest": age.newest.isoformat(), "as_of": age.as_of.isoformat(), "limit_days": age.limit_days}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _bytes(content: bytes) -> Any:
    return np.frombuffer(content, dtype=np.uint8)


def _frame(table: pd.DataFrame) -> bytes:
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    out = pa.BufferOutputStream()
    with pa.ipc.new_file(out, arrow.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(arrow)
    return bytes(out.getvalue())


def _table(raw: Any) -> pd.DataFrame:
    with pa.ipc.open_file(pa.BufferReader(raw.tobytes())) as reader:
        return pd.DataFrame(reader.read_all().to_pandas())
