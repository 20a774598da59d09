"""A small file system of its own at a folder, which can be made read-only: we are root, so modes would not count."""

import errno
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Mode = Literal["ro", "rw"]


@contextmanager
def mounted(folder: Path, size_mib: int = 64) -> Iterator[Callable[[Mode], None]]:
    """Mounted while the block lasts; yields what makes it read-only or writable again."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", folder], check=True)
    try:
        yield lambda mode: _remount(folder, mode)
    finally:
        # Lazily: one that is still in use goes with its last user.
        subprocess.run(["umount", "--lazy", folder], check=True)


def _remount(folder: Path, mode: Mode) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", folder], check=True)


def refuses_writes(folder: Path) -> tuple[bool, str]:
    """Whether a write by hand fails as it does on a file system that is read-only, and what it said."""
    try:
        (folder / "by-hand").write_text("written")
    except OSError as error:
        return error.errno == errno.EROFS, repr(error)
    return False, "was written"
