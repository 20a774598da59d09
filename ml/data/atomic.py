"""A file that a reader sees whole or not at all. Standard library only; called by everything that keeps data."""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class AtomicFile:
    """A file that gets its name only on `commit`; leaving the context without it removes what was written.

    Raises:
        OSError: If the folder cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self.temporary.unlink(missing_ok=True)  # left by a process that was killed and had our number
        self.handle = self.temporary.open("xb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.handle.close()
        finally:  # on a full disk closing writes, and fails: what is left must not keep the disk full
            with suppress(FileNotFoundError):
                self.temporary.unlink()

    def commit(self, path: Path | None = None) -> None:
        """Make the content durable, then visible under its name, or under another one in the same folder."""
        self.handle.flush()
        os.fsync(self.handle.fileno())
        self.handle.close()
        self.temporary.replace(path or self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def write(path: Path, content: bytes) -> None:
    """Put bytes under a name in one step; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with AtomicFile(path) as file:
        file.handle.write(content)
        file.commit()
