"""One way to lay out a Docker build context: the model server's and the platform images' both come from here."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

_MODE: Final = 0o644


def mirror(sources: Mapping[Path, Path], target: Path, keep: Collection[Path] = ()) -> None:
    """Make `target` hold exactly copies of `sources`; a file that is right already is not touched.

    Args:
        sources: Path inside `target` -> file to copy.
        target: The context's folder; made when it is absent.
        keep: Files in `target` that somebody else put there and that stay.
    """
    wanted = {target / path for path in sources} | set(keep)
    for left in sorted(target.rglob("*"), reverse=True):  # what a folder holds comes before the folder
        if left.is_dir() and not left.is_symlink():
            if not any(left.iterdir()):
                left.rmdir()
        elif left not in wanted or left.is_symlink():
            left.unlink()
    for path, source in sources.items():
        file, content = target / path, source.read_bytes()
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_bytes() != content:
            file.write_bytes(content)
        file.chmod(_MODE)  # the mode is part of an image layer, and must not depend on the umask of a checkout
