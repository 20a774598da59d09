"""Results that need not be computed twice, one file each, named by the key of everything that decides them.

An entry that is damaged in any byte counts as absent. Above the size limit the entries that were used longest ago
go. Two processes may read and write at once: a file gets its name only when it is whole, and what `get` returned is in
the reader's memory, so no eviction takes it away from a command that runs.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml.data.atomic import AtomicFile

_DIGEST_BYTES = 32
_LEFT_S = 3600.0  # a writer is done in seconds: an unfinished file as old as this was left by one that was killed


def key(parts: Mapping[str, Any]) -> str:
    """One name for data, code and parameters."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Cache:
    """Entries in one folder.

    Args:
        folder: Made with the first entry; safe to delete at any time.
        max_mib: Of all entries together. A larger single entry is not kept.
    """

    def __init__(self, folder: Path, *, max_mib: float) -> None:
        self._folder = folder
        self._cap = int(max_mib * 2**20)

    def get(self, name: str) -> bytes | None:
        """The content of an entry; None if it is absent or damaged."""
        path = self._path(name)
        try:
            raw = path.read_bytes()
        except OSError:
            return None
        content = raw[_DIGEST_BYTES:]
        if raw[:_DIGEST_BYTES] != self._digest(name, content):
            return None
        with contextlib.suppress(OSError):  # another process may have evicted it just now
            os.utime(path)
        return content

    def put(self, name: str, content: bytes) -> None:
        """Keep an entry. A cache that cannot be written is no reason to stop."""
        if len(content) + _DIGEST_BYTES > self._cap:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with AtomicFile(self._path(name)) as file:
                file.handle.write(self._digest(name, content))
                file.handle.write(content)
                file.commit()
            self._evict()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.entry"

    @staticmethod
    def _digest(name: str, content: bytes) -> bytes:
        """Of the name as well: an entry under another one's name is damaged."""
        return hashlib.sha256(name.encode() + b"\0" + content).digest()

    def _evict(self) -> None:
        self._sweep()
        entries = []
        for path in self._folder.glob("*.entry"):
            with contextlib.suppress(OSError):
                found = path.stat()
                entries.append((found.st_mtime_ns, found.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._cap:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _sweep(self) -> None:
        """Remove what killed writers left. The newest file tells the time, as on a volume of another machine."""
        times = {}
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                times[path] = path.stat().st_mtime
        for path, written in times.items():
            if path.suffix == ".tmp" and written < max(times.values()) - _LEFT_S:
                path.unlink(missing_ok=True)
