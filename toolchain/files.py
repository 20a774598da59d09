"""Writing files so that a crash leaves the old content or the new, never half of it."""

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Write atomically a file that only its owner may read."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_if_changed(path: Path, content: bytes) -> None:
    """`write_private`, but an equal file keeps its time and its inode (the kubelet's and containerd's watches)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        write_private(path, content)
