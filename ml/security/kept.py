"""Answers of scans that need not be asked again: same content, same tool, same rules, same day.

The key holds all four, so a kept answer is never about anything else; it keeps the time at which the tool looked. An
incomplete answer is not kept: whatever was missing may be there now.
"""

import hashlib
import json
from pathlib import Path

from ml.security.result import Scan


def key_of(subject_sha256: str, tool: str, rules: tuple[Path, ...], today: str) -> str:
    """What an answer depends on, as one hash; `rules` are the files that say what counts as a finding."""
    parts = [subject_sha256, tool, today, *(_content(path) for path in rules)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load(folder: Path, name: str, key: str) -> Scan | None:
    """The answer that was kept under exactly this key; None if there is none or it cannot be read."""
    try:
        kept = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        if kept["key"] != key:
            return None
        return Scan(**{**kept["scan"], "findings": tuple(kept["scan"]["findings"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save(folder: Path, name: str, key: str, scan: Scan) -> None:
    """Keep an answer that passed or failed."""
    if scan.verdict == "incomplete":
        return
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{name}.json"
    scratch.write_text(json.dumps({"key": key, "scan": scan.to_json()}), encoding="utf-8")
    scratch.replace(folder / f"{name}.json")


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"
