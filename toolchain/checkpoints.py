"""The state of a stack on this machine and its earlier copies: which are whole; the last whole one is put back.

Pulumi's file backend keeps, beside `stacks/PROJECT/STACK.json`, the file before the last write (`.bak`) and the file at
the end of every update (`history/PROJECT/STACK/*.checkpoint.json`). It reads whatever is there: a file that was cut off
is an error of its JSON reader, an empty one a stack without resources, and an update would make everything again.
"""

import json
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ml.errors import SurroundingsError, UsageError
from toolchain.files import write_private

PROJECT: Final = "ml-pipeline"
"""As `Pulumi.yaml` has it."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One file with a state."""

    path: Path
    at: float
    """When it was written, seconds since the epoch."""
    resources: int
    problem: str
    """Why it cannot be used; empty when it can."""


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """The files of one stack in a file backend."""

    backend: Path
    stack: str

    @property
    def current(self) -> Path:
        """What Pulumi reads."""
        return self.backend / ".pulumi" / "stacks" / PROJECT / f"{self.stack}.json"

    def copies(self) -> list[Copy]:
        """The earlier copies, the newest first."""
        history = self.backend / ".pulumi" / "history" / PROJECT / self.stack
        files = [self.current.with_name(f"{self.current.name}.bak"), *history.glob("*.checkpoint.json")]
        return sorted((look(file) for file in files if file.is_file()), key=lambda one: one.at, reverse=True)

    def require_whole(self) -> None:
        """Refuse a state that Pulumi could not read, or would take for that of a new stack.

        Raises:
            SurroundingsError: `ML-HOST-017`.
        """
        if not self.current.exists():
            return
        now = look(self.current)
        if now.problem:
            message = f"the state of stack {self.stack} ({now.path}) is damaged: {now.problem}"
            raise SurroundingsError("ML-HOST-017", message, f"mlp state restore --stack {self.stack}")

    def restore(self) -> Copy:
        """Put the newest whole copy in the state's place; the damaged file stays beside it under another name.

        Returns:
            The copy.

        Raises:
            UsageError: `ML-HOST-018` when the state is whole.
            SurroundingsError: `ML-HOST-017` when no copy is.
        """
        if self.current.exists() and not look(self.current).problem:
            message = f"the state of stack {self.stack} is whole; there is nothing to restore"
            raise UsageError("ML-HOST-018", message, f"make up STACK={self.stack}")
        whole = next((one for one in self.copies() if not one.problem), None)
        if whole is None:
            message = f"stack {self.stack} has no whole copy of its state among {len(self.copies())}"
            fix = "bring the state back from a backup of your own; docs/guides/production-checklist.md"
            raise SurroundingsError("ML-HOST-017", message, fix)
        if self.current.exists():
            self.current.rename(self.current.with_name(f"{self.current.name}.damaged-{int(time.time())}"))
        write_private(self.current, whole.path.read_bytes())
        return whole


def of(env: Mapping[str, str], stack: str) -> Checkpoints | None:
    """The files of a stack; None when the backend is no folder, and has versions of its own."""
    backend = urllib.parse.urlsplit(env["PULUMI_BACKEND_URL"])
    return Checkpoints(backend=Path(backend.path), stack=stack) if backend.scheme == "file" else None


def local(env: Mapping[str, str], stack: str) -> Checkpoints:
    """The files of a stack.

    Raises:
        UsageError: `ML-HOST-018` when another store keeps the state.
    """
    found = of(env, stack)
    if found is None:
        message = "the state is not on this machine (PULUMI_BACKEND_URL); its store keeps versions of its own"
        raise UsageError("ML-HOST-018", message, f"pulumi stack history --stack {stack}")
    return found


def look(path: Path) -> Copy:
    """What is in a file."""
    content = path.read_bytes()
    found = problem(content)
    resources = 0 if found else len(_latest(json.loads(content)).get("resources") or [])
    return Copy(path=path, at=path.stat().st_mtime, resources=resources, problem=found)


def problem(content: bytes) -> str:
    """Why a state cannot be used; empty when it can. What it says of resources is for Pulumi to judge."""
    try:
        latest = _latest(json.loads(content))
        resources = latest.get("resources") or []
        known = {str(one["urn"]) for one in resources if one["type"]}
        missing = {str(one["parent"]) for one in resources if one.get("parent")} - known
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"it is no checkpoint of Pulumi ({len(content)} bytes): {error!r}"[:300]
    return f"the parent of a resource is not in it: {min(missing)}" if missing else ""


def _latest(checkpoint: Any) -> dict[str, Any]:
    """A new stack's state has none."""
    latest: dict[str, Any] = checkpoint["checkpoint"].get("latest") or {}
    return latest
