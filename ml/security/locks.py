"""Reads pinned, hashed lock files. Pure but for reading the file."""

import re
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


def canonical(name: str) -> str:
    """A distribution's name in the one form in which names compare (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: Path) -> dict[str, str]:
    """Distribution -> version of a lock file; empty where there is none."""
    if not lock.is_file():
        return {}
    return {canonical(name): version for name, version in _PIN.findall(lock.read_text(encoding="utf-8"))}
