"""A small checkout to scan, and tools that answer what a test wants."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml.security.result import Answer, Run

TODAY = "2026-01-31"
NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
LOCK = """\
# a comment
NumPy==2.4.6 \\
    --hash=sha256:aa
ruamel.yaml[jinja2]==0.19.1 ; python_version > '3'
    # via x==9
"""


def write_checkout(root: Path) -> Path:
    """Lock files, one module, one Dockerfile."""
    (root / "requirements.txt").write_text(LOCK)
    serving = root / "images/serving"
    serving.mkdir(parents=True)
    (serving / "requirements.txt").write_text("numpy==2.4.6 \\\n    --hash=sha256:" + "a" * 64 + "\n")
    (serving / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nUSER 10001\nWORKDIR /tmp\n")
    (root / ".hadolint.yaml").write_text("ignored: []\n")
    (root / "ml").mkdir()
    (root / "ml/fine.py").write_text("A = 1\n")
    return root


def answers(stdout: Any, exit_code: int | None = 0, asked: list[Sequence[str]] | None = None, error: str = "") -> Run:
    """A tool that answers this, whatever it is asked; `asked` collects the commands."""

    def run(command: Sequence[str], limit_s: float) -> Answer:
        if asked is not None:
            asked.append(command)
        text = stdout if isinstance(stdout, str) else json.dumps(stdout)
        return Answer(exit_code=exit_code, stdout=text, error=error)

    return run
