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

from ml.security.result import Run, Scan, Verdict, words
from ml.security.subjects import CODE_FOLDERS, of_code

LIMIT_S = 120.0
_COUNTS = ("MEDIUM", "HIGH")


def scan_code(root: Path, run: Run) -> Scan:
    """Look at every Python file that we run; tests are not deployed and may do odd things."""
    subject = of_code(root)
    files = subject.files
    paths = [str(root / name) for name in CODE_FOLDERS if (root / name).is_dir()]
    answer = run([sys.executable, "-m", "bandit", "--quiet", "--format", "json", "--recursive", *paths], LIMIT_S)
    covered = 0
    findings: tuple[str, ...] = ()
    reason = f"bandit gave no report: {words(answer)}"
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
        verdict = "fail" if findings else "pass" if covered == len(files) > 0 else "incomplete"
        reason = f"{len(findings)} findings in {covered} of {len(files)} files, {accepted} accepted in the source"
    return Scan(
        tool="bandit",
        version=version("bandit"),
        subject=subject.name,
        subject_sha256=subject.sha256,
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
