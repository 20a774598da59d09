"""The data that trained and judged must be kept under their hash, or nobody can train on them again. Pure."""

from collections.abc import Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.metrics import is_count, mapping
from ml.gate.reasons import Reason


def pinned(data: Mapping[str, Any], policy: Mapping[str, Any]) -> list[Check]:
    """What the snapshot store held when the training ended, against the hash of the rows that were trained on.

    Args:
        data: The record's `data`.
        policy: The gate's.
    """
    if not policy["snapshot"]["required"]:
        return []
    wanted, kept = data.get("snapshot_sha256"), data.get("snapshot")
    if not isinstance(kept, Mapping):
        return [check("snapshot", "data", None, wanted, Reason.SNAPSHOT_UNPINNED)]
    counts = [mapping(data.get(part)).get("rows") for part in ("train", "test")]
    used = sum(count for count in counts if is_count(count))
    rows = kept.get("rows")
    known = all(map(is_count, counts)) and is_count(rows) and isinstance(wanted, str)
    same = known and kept.get("sha256") == wanted and is_count(rows) and rows >= used
    return [check("snapshot", "data", kept.get("sha256"), wanted, Reason.OK if same else Reason.SNAPSHOT_CHANGED)]
