"""Keeps the release ledger in the stack's namespace: one immutable ConfigMap an entry, `release-ledger-000001` and on.

Kubernetes itself refuses to change an immutable object and to create one twice, so that writing is one request that
happens or does not, and of two writers at once one is told. An entry is some 600 bytes and there is one for each
switch: a ledger needs no pruning. Deleting the namespace deletes it; export it first with `mlp release history --json`.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from infra.names import labels
from ml.errors import GateError, TransientError
from ml.release import ledger
from ml.stack.objects import Objects

NAME: Final = "release-ledger"
FIELD: Final = "entry.json"
_LABELS: Final = labels(NAME, "delivery")
_TRIES: Final = 3


def entries(found: Objects, stack: str) -> list[ledger.Entry]:
    """The whole ledger, oldest first.

    Raises:
        GateError: If somebody changed it; names every break.
    """
    kept = [item for item in found.every("configmap") if str(_metadata(item).get("name")).startswith(f"{NAME}-")]
    entries, problems = ledger.read([_content(item) for item in kept], stack)
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        message = f"the release ledger of stack {stack!r} was changed:{listed}"
        raise GateError("ML-REL-151", message, "compare it with the history of the stack's file in git")
    return entries


def add(found: Objects, stack: str, live: ledger.Live | None, now: str) -> ledger.Entry | None:
    """Write down what takes the traffic, if the ledger does not say so already; returns the newest entry.

    Returns None while nothing takes traffic and nothing ever did; `now` is UTC, as the ledger writes it.

    Raises:
        GateError: If the ledger was changed.
        TransientError: If others kept writing at the same time.
    """
    for _ in range(_TRIES):
        known = entries(found, stack)
        entry = None if live is None else ledger.following(known, stack, live, now)
        if entry is None:
            return known[-1] if known else None
        if found.create("configmap", _manifest(entry)):
            return entry
    message = f"the release ledger of stack {stack!r}: somebody else wrote it {_TRIES} times in between"
    raise TransientError("ML-REL-152", message, f"mlp release publish --stack {stack}")


def _manifest(entry: ledger.Entry) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{NAME}-{entry.seq:06d}", "labels": _LABELS},
        "immutable": True,
        "data": {FIELD: json.dumps(entry.to_json(), sort_keys=True, indent=2, ensure_ascii=False)},
    }


def _content(item: Mapping[str, Any]) -> Any:
    try:
        return json.loads((item.get("data") or {}).get(FIELD) or "null")
    except ValueError:
        return None


def _metadata(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return item.get("metadata") or {}
