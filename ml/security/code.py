"""Insecure patterns in our own Python, by bandit. Medium severity with medium confidence and above fails.

A line that carries `# noqa: S108` was looked at for ruff's S108, which is bandit's B108, and says why it is right; it
counts as accepted here too, so that one finding needs one reason, not two.
"""

import json
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml.security.result import Run, Scan, Verdict, sha256_of_files

FOLDERS = ("infra", "ml", "policies", "toolchain")
LIMIT_S = 120.0
_COUNTS = ("MEDIUM", "HIGH")


def scan_code(root: Path, run: Run) -> Scan:
    """Look at every Python file that we run; tests are not deployed and may do odd things."""
    folders = [name for name in FOLDERS if (root / name).is_dir()]
    files = [path for name in folders for path in sorted((root / name).rglob("*.py"))]
    paths = [str(root / name) for name in folders]
    answer = run([sys.executable, "-m", "bandit", "--quiet", "--format", "json", "--recursive", *paths], LIMIT_S)
    covered = 0
    findings: tuple[str, ...] = ()
    reason = f"bandit gave no report: {answer.error or f'exit code {answer.exit_code}'}"
    verdict: Verdict = "incomplete"
    try:
        report = json.loads(answer.stdout)
        covered = len(files) - len(report["errors"])
        serious = [found for found in report["results"] if _is_serious(found)]
        findings = tuple(_line(root, found) for found in serious if not _is_accepted(found))
        accepted = len(serious) - len(findings)
    except ValueError:
        pass  # the reason above stands
    else:
        verdict = "fail" if findings else "incomplete" if covered < len(files) else "pass"
        reason = f"{len(findings)} findings in {covered} of {len(files)} files, {accepted} accepted in the source"
    return Scan(
        tool="bandit",
        version=version("bandit"),
        subject=" ".join(f"{name}/" for name in folders),
        subject_sha256=sha256_of_files(root, files),
        covered=covered,
        total=len(files),
        verdict=verdict,
        reason=reason,
        findings=findings,
    )


def _is_serious(found: Mapping[str, Any]) -> bool:
    return found["issue_severity"] in _COUNTS and found["issue_confidence"] in _COUNTS


def _is_accepted(found: Mapping[str, Any]) -> bool:
    lines = Path(found["filename"]).read_text(encoding="utf-8").splitlines()
    code = "S" + str(found["test_id"]).removeprefix("B")
    return any(re.search(rf"# noqa: .*\b{code}\b", lines[number - 1]) for number in found["line_range"])


def _line(root: Path, found: Mapping[str, Any]) -> str:
    where = Path(found["filename"]).relative_to(root).as_posix()
    return f"{where}:{found['line_number']}: {found['test_id']} {found['issue_text']}"
