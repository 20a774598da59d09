"""What `mlp` writes into a stack's ledger: what the cluster runs, if it is a release of this checkout."""

import getpass
import os
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from infra.names import RECORD_DIGEST_ANNOTATION, slot_name
from ml.errors import GateError
from ml.release import ledger
from ml.release.signing import moment
from ml.release.store import verify
from ml.stack.cluster import running
from ml.stack.entries import add
from ml.stack.objects import Objects, annotations_of


def record(root: Path, stack: str, found: Objects, *, now: datetime, who: str) -> ledger.Entry | None:
    """Write down what takes the traffic, proven by this checkout, if the ledger does not say so already.

    Returns the newest entry; None while nothing takes traffic and nothing ever did.

    Raises:
        GateError: If the ledger was changed, or what is live is no release of this checkout.
        TransientError: If others kept writing at the same time.
    """
    return add(found, stack, _live(root, found, who), moment(now))


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
    annotations = annotations_of(found.one("deployment", slot_name(now.live)))
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


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
