"""The data that trained and judged must be kept under their hash, or nobody can train on them again. Pure."""

from collections.abc import Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.reasons import Reason


def pinned(data: Mapping[str, Any], policy: Mapping[str, Any]) -> list[Check]:
    """What the snapshot store held when the training ended, against the hash of the rows that were trained on.

    Args:
        data: The record's `data`.
        policy: The gate's; one from before there was this rule asks for nothing.
    """
    if not policy.get("snapshot", {}).get("required", False):
        return []
    wanted, kept = data.get("snapshot_sha256"), data.get("snapshot")
    if not isinstance(kept, Mapping):
        return [check("snapshot", "data", None, wanted, Reason.SNAPSHOT_UNPINNED)]
    used = data["train"]["rows"] + data["test"]["rows"]
    same = kept.get("sha256") == wanted and kept.get("rows", 0) >= used
    return [check("snapshot", "data", kept.get("sha256"), wanted, Reason.OK if same else Reason.SNAPSHOT_CHANGED)]
