"""What every scan answers, and how tools are run for it.

A scan that could not look is `incomplete`, never `pass`: no finding is only worth something where something was read.
"""

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["pass", "fail", "incomplete"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """One scan's result as it stands in a record.

    Attributes:
        subject: What was looked at, and `subject_sha256` which content of it.
        covered: How many of `total` parts (packages, files) were really looked at.
        database_date: Day of the advisory data, where the tool uses any; None where it has none or could not ask.
        scanned_at: When the tool really looked, UTC; an answer that was kept keeps its time. `ml.security.run` sets it.
        findings: What must be fixed, one line each; at most `MAX_FINDINGS`.
    """

    tool: str
    version: str
    subject: str
    subject_sha256: str
    covered: int
    total: int
    verdict: Verdict
    reason: str
    database_date: str | None = None
    scanned_at: str | None = None
    findings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The scan as plain JSON values; without `scanned_at` where nobody has set it."""
        plain = {**asdict(self), "findings": shortened(self.findings)}
        return {key: value for key, value in plain.items() if key != "scanned_at" or value is not None}


MAX_FINDINGS = 20


def shortened(findings: Sequence[str]) -> list[str]:
    """At most `MAX_FINDINGS` lines; the last says how many more there are."""
    if len(findings) <= MAX_FINDINGS:
        return list(findings)
    return [*findings[: MAX_FINDINGS - 1], f"and {len(findings) - MAX_FINDINGS + 1} more"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """How a tool ended. `exit_code` is None when it could not be run or took too long; `error` then says why."""

    exit_code: int | None
    stdout: str = ""
    error: str = ""


Run = Callable[[Sequence[str], float], Answer]
"""Runs a command with a limit in seconds."""


def moment(now: datetime) -> str:
    """The time as records hold it, in UTC."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def words(answer: Answer) -> str:
    """Why a tool's answer is of no use, for a scan's reason."""
    return answer.error.strip().splitlines()[-1][:200] if answer.error.strip() else f"exit code {answer.exit_code}"


def run_tool(command: Sequence[str], limit_s: float) -> Answer:
    """Run a tool; a tool that is missing or slow is an answer, not an exception."""
    try:
        done = subprocess.run(list(command), capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return Answer(exit_code=None, error=f"did not end within {limit_s:g} s")
    except OSError as error:
        return Answer(exit_code=None, error=f"could not be started: {error.strerror}")
    return Answer(exit_code=done.returncode, stdout=done.stdout, error=done.stderr.strip()[-300:])


def sha256_of_files(root: Path, files: Sequence[Path]) -> str:
    """One SHA-256 over names and contents; the order of `files` does not matter."""
    digest = hashlib.sha256()
    for path in sorted(files):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
