"""Puts tools into `.venv/bin` and remembers what was put there, so that the next run has nothing to do."""

import json
import os
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


def put(name: str, key: str, targets: Mapping[str, Path], how: str) -> None:
    """Link each name in `targets` to its file, atomically."""
    for link, target in targets.items():
        replace(paths.venv_bin() / link, target)
    _remember(name, key, list(targets), how)


def put_launcher(name: str, key: str, module: str) -> None:
    """Write a launcher for a Python module of ours; it works from any folder."""
    python = paths.venv_bin() / "python"
    path = paths.venv_bin() / name
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(f"#!{python}\nfrom {module} import main\n\nmain()\n")
    temporary.chmod(temporary.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    temporary.replace(path)
    _remember(name, key, [name], f"own plugin {module}")


def remove(name: str) -> None:
    """Take a link away, for a tool that is found elsewhere by itself."""
    (paths.venv_bin() / name).unlink(missing_ok=True)


def replace(link: Path, target: Path) -> None:
    """Make `link` point to `target` in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def how(name: str) -> str:
    """Where the linked tool came from."""
    return str(_load().get(name, {}).get("how", "not there"))


def _remember(name: str, key: str, names: list[str], how: str) -> None:
    record = _load()
    record[name] = {"key": key, "how": how, "links": {link: _mark(paths.venv_bin() / link) for link in names}}
    temporary = _record().with_name(f".mlp-tools.{os.getpid()}")
    temporary.write_text(json.dumps(record, indent=1, sort_keys=True))
    temporary.replace(_record())


def _mark(path: Path) -> list[Any]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [str(path.resolve()), found.st_mtime_ns, found.st_size]
