"""Keeps the release ledger in the stack's namespace: one immutable ConfigMap an entry, `release-ledger-000001` and on.

Kubernetes itself refuses to change an immutable object and to create one twice, so that writing is one request that
happens or does not, and of two writers at once one is told. An entry is some 600 bytes and there is one for each
switch: a ledger needs no pruning. Deleting the namespace deletes it; export it first with `mlp release history --json`.
"""

import getpass
import json
import os
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from infra.names import RECORD_DIGEST_ANNOTATION, labels, slot_name
from ml.errors import GateError, TransientError
from ml.release import ledger
from ml.release.signing import moment
from ml.release.store import verify
from ml.stack.cluster import Objects, running

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


def record(root: Path, stack: str, found: Objects, *, now: datetime, who: str) -> ledger.Entry | None:
    """Write down what takes the traffic, if the ledger does not say so already; returns the newest entry.

    Returns None while nothing takes traffic and nothing ever did.

    Raises:
        GateError: If the ledger was changed, or what is live is no release of this checkout.
        TransientError: If others kept writing at the same time.
    """
    live = _live(root, found, who)
    for _ in range(_TRIES):
        known = entries(found, stack)
        entry = None if live is None else ledger.following(known, stack, live, moment(now))
        if entry is None:
            return known[-1] if known else None
        if found.create("configmap", _manifest(entry)):
            return entry
    message = f"the release ledger of stack {stack!r}: somebody else wrote it {_TRIES} times in between"
    raise TransientError("ML-REL-152", message, f"mlp release publish --stack {stack}")


def actor(root: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Who runs this command: the workflow's actor, or who git says, or the login."""
    if environment.get("GITHUB_ACTOR"):
        return environment["GITHUB_ACTOR"]
    return _git(root, "config", "user.name") or getpass.getuser()


def _live(root: Path, found: Objects, who: str) -> ledger.Live | None:
    now = running(found)
    if now.live is None or now.live not in now.slots:
        return None
    held = now.slots[now.live]
    annotations = _metadata(found.one("deployment", slot_name(now.live)) or {}).get("annotations") or {}
    release = verify(root, held.release)
    digest = annotations.get(RECORD_DIGEST_ANNOTATION)
    if digest != release.digest:
        message = (
            f"{held.release} takes the traffic with record {digest!r}; releases/{release.id} has {release.digest!r}"
        )
        raise GateError("ML-REL-153", message, f"git checkout -- releases/{release.id}, or pulumi up")
    return ledger.Live(
        release=release.id,
        record_digest=release.digest,
        made=str(release.record["created_at"]),
        image=held.image,
        slot=now.live,
        who=who,
        commit=_git(root, "rev-parse", "HEAD"),
    )


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


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
