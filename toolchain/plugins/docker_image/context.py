"""The build context: which files belong to it, its digest, and the archive that is sent to the engine.

The digest is the official plugin's `contextDigest`, computed in the same way, so that a state written by one plugin
causes no rebuild under the other: names, modes and contents of files count, times, owners and empty folders do not.
"""

import hashlib
import os
import stat
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from docker.utils.build import PatternMatcher

DOCKERFILE_IN_ARCHIVE = ".dockerfile.outside-of-context"
SPECIAL_MODES = ((stat.S_ISUID, "u"), (stat.S_ISGID, "g"), (stat.S_ISVTX, "t"))


def digest(context: str, dockerfile: str) -> str:
    """Hex sha256 over the Dockerfile and every file of the context that `.dockerignore` lets through."""
    total = hashlib.sha256()
    _add(total, Path(dockerfile), "Dockerfile", "----------")
    for name in files(context, dockerfile):
        path = Path(context, name)
        _add(total, path, name, go_mode(path.lstat().st_mode))
    return total.hexdigest()


def files(context: str, dockerfile: str) -> list[str]:
    """Files and links of the context, relative to it, in the order of a sorted walk."""
    return sorted((name for name in _entries(context, dockerfile) if not _is_folder(Path(context, name))), key=_parts)


def inside(context: str, dockerfile: str) -> str:
    """The Dockerfile relative to the context; starts with `..` when it lies outside."""
    return os.path.relpath(dockerfile, context)


def archive(context: str, dockerfile: str) -> tuple[IO[bytes], str]:
    """The context as an open tar file, and the name of the Dockerfile in it."""
    relative = inside(context, dockerfile)
    outside = relative.startswith("..")
    out = tempfile.TemporaryFile(prefix="mlp-context-")  # noqa: SIM115  (the caller closes it)
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in sorted(_entries(context, dockerfile), key=_parts):
            tar.add(Path(context, name), arcname=name, recursive=False, filter=_as_root)
        if outside:
            tar.add(dockerfile, arcname=DOCKERFILE_IN_ARCHIVE, filter=_as_root)
    out.seek(0)
    return out, DOCKERFILE_IN_ARCHIVE if outside else relative


def ignore_patterns(context: str, dockerfile: str) -> list[str]:
    """Patterns of `<Dockerfile>.dockerignore`, else of the context's `.dockerignore`."""
    for path in (Path(f"{dockerfile}.dockerignore"), Path(context, ".dockerignore")):
        if path.is_file():
            lines = (line.strip() for line in path.read_text().splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []


def go_mode(mode: int) -> str:
    """A mode in Go's notation, which is part of the official digest: `-rw-r--r--`, `Lrwxrwxrwx`."""
    kind = "L" if stat.S_ISLNK(mode) else ""
    special = "".join(letter for bit, letter in SPECIAL_MODES if mode & bit)
    bits = "".join(letter if mode & (1 << (8 - place)) else "-" for place, letter in enumerate("rwxrwxrwx"))
    return (kind + special or "-") + bits


def _entries(context: str, dockerfile: str) -> set[str]:
    patterns = [*ignore_patterns(context, dockerfile), f"!{inside(context, dockerfile)}"]
    return set(PatternMatcher(patterns).walk(str(context)))


def _parts(name: str) -> tuple[str, ...]:
    return Path(name).parts


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _add(total: "hashlib._Hash", path: Path, name: str, mode: str) -> None:
    content = hashlib.sha256()
    if path.is_symlink() and name != "Dockerfile":
        content.update(os.path.relpath(path.resolve()).encode() if not path.is_absolute() else bytes(path.resolve()))
    elif path.is_file():
        with path.open("rb") as source:
            content = hashlib.file_digest(source, "sha256")
    total.update(name.encode() + mode.encode() + content.digest() + b"\0")


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
