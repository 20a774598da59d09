"""Known vulnerabilities of the locked dependencies, by pip-audit.

pip-audit exits 0 with "no known vulnerabilities" after skipping every package it has no data for; so what counts is
how many packages it really covered.
"""

import json
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml.security.locks import pins
from ml.security.result import Run, Scan, Verdict, sha256_of_files

LIMIT_S = 90.0
REQUEST_LIMIT_S = 3


def scan_dependencies(root: Path, lock: Path, cache: Path, today: str, run: Run) -> Scan:
    """Audit a lock file; one answer for each lock file, tool version and day is kept in `cache`.

    Args:
        root: The checkout.
        lock: The lock file, below `root`.
        cache: Folder for the answers.
        today: The day as `2026-01-31`: advisories appear daily.
        run: Runs the tool.
    """
    digest, tool = sha256_of_files(root, [lock]), version("pip-audit")
    kept = cache / f"dependencies-{digest[:16]}-{tool}-{today}.json"
    report = _kept(kept)
    error = ""
    if report is None:
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--timeout", str(REQUEST_LIMIT_S), "--progress-spinner", "off"]
        answer = run(command, LIMIT_S)
        report = _report(answer.stdout)
        error = answer.error or f"exit code {answer.exit_code}"
        if report is not None:
            cache.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(report), encoding="utf-8")
    verdict, reason, findings, covered = _judge(report, len(pins(lock)), error)
    return Scan(
        tool="pip-audit",
        version=tool,
        subject=lock.relative_to(root).as_posix(),
        subject_sha256=digest,
        covered=covered,
        total=len(pins(lock)),
        verdict=verdict,
        reason=reason,
        findings=findings,
    )


def _judge(report: Mapping[str, Any] | None, total: int, error: str) -> tuple[Verdict, str, tuple[str, ...], int]:
    if report is None:
        return "incomplete", f"no advisory data: pip-audit gave no report: {error}", (), 0
    looked_at = [package for package in report["dependencies"] if "skip_reason" not in package]
    findings = tuple(
        f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'none'}"
        for package in looked_at
        for found in package["vulns"]
    )
    covered = len(looked_at)
    if findings:
        return "fail", f"{len(findings)} known vulnerabilities", findings, covered
    if covered == 0:
        return "incomplete", f"no advisory data: all {total} packages were skipped", (), covered
    if covered < total:
        return "incomplete", f"advisory data for {covered} of {total} packages only", (), covered
    return "pass", f"no known vulnerability in {total} packages", (), covered


def _report(text: str) -> dict[str, Any] | None:
    try:
        report = json.loads(text)
    except ValueError:
        return None
    fits = isinstance(report, dict) and isinstance(report.get("dependencies"), list)
    return report if fits else None


def _kept(path: Path) -> dict[str, Any] | None:
    try:
        return _report(path.read_text(encoding="utf-8"))
    except OSError:
        return None
