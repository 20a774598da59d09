"""Puts tools into `.venv/bin` and remembers what was put there, so that the next run has nothing to do."""

import json
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolchain import paths


def _record() -> Path:
    return paths.venv() / "mlp-tools.json"


def _load() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_record().read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found


def is_fresh(name: str, key: str) -> bool:
    """Whether the tool was linked for this key and nothing has changed since."""
    entry = _load().get(name)
    if not entry or entry["key"] != key:
        return False
    return all(_mark(paths.venv_bin() / link) == mark for link, mark in entry["links"].items())


def put(name: str, key: str, targets: Mapping[str, Path], how: str, *, hard: bool = False) -> None:
    """Link each name in `targets` to its file, atomically."""
    for link, target in targets.items():
        replace(paths.venv_bin() / link, target, hard=hard)
    directory = next(iter(targets.values())).parent
    _remember(name, key, list(targets), how, str(directory))


def put_launcher(name: str, key: str, module: str) -> None:
    """Write a launcher for a Python module of ours; it works from any folder."""
    python = paths.venv_bin() / "python"
    path = paths.venv_bin() / name
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(f"#!{python}\nfrom {module} import main\n\nmain()\n")
    temporary.chmod(temporary.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    temporary.replace(path)
    _remember(name, key, [name], f"own plugin {module}")


def replace(link: Path, target: Path, *, hard: bool = False) -> None:
    """Make `link` stand for `target` in one step; a hard link becomes a copy on another file system."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    if hard:
        try:
            temporary.hardlink_to(target.resolve())
        except OSError:
            shutil.copy2(target, temporary)
    else:
        temporary.symlink_to(target)
    temporary.replace(link)


def directory(name: str) -> Path | None:
    """The folder that the tool was taken from."""
    found = _load().get(name, {}).get("directory", "")
    return Path(found) if found else None


def _remember(name: str, key: str, names: list[str], how: str, directory: str = "") -> None:
    record = _load()
    marks = {link: _mark(paths.venv_bin() / link) for link in names}
    record[name] = {"key": key, "how": how, "links": marks, "directory": directory}
    temporary = _record().with_name(f".mlp-tools.{os.getpid()}")
    temporary.write_text(json.dumps(record, indent=1, sort_keys=True))
    temporary.replace(_record())


def _mark(path: Path) -> list[Any]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [str(path.resolve()), found.st_mtime_ns, found.st_size]
