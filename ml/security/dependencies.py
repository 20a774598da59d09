"""Known vulnerabilities of the locked dependencies, by pip-audit.

pip-audit exits 0 with "no known vulnerabilities" after skipping every package it has no data for, and believes a
source that answers everything with nothing. So what counts is how many packages it really covered, and whether the
source knows a vulnerability that every source of advisories must know (`CANARY`).
"""

import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml.security.locks import pins
from ml.security.result import Run, Scan, Verdict, moment, words
from ml.security.subjects import of_lock

LIMIT_S = 90.0
REQUEST_LIMIT_S = 3
OSV_URL = "MLP_OSV_URL"
"""Environment variable: the query address of a mirror of OSV, for networks that do not reach PyPI's own data."""
# A release with dozens of advisories since 2021, the first PYSEC-2021-98; a package that we do not use.
CANARY = ("django", "3.2")


def scan_dependencies(root: Path, lock: Path, cache: Path, now: datetime, run: Run) -> Scan:
    """Audit a lock file; one answer for each lock file, tool version, source and day is kept in `cache`.

    Args:
        root: The checkout.
        lock: The lock file, relative to `root`.
        cache: Folder for the answers.
        now: When they are asked; the services answer with the advisories of that day.
        run: Runs the tool.
    """
    subject, tool, mirror = of_lock(root, lock), version("pip-audit"), os.environ.get(OSV_URL, "")
    wanted, asked_at = pins(root / lock), moment(now)
    source = "osv" if mirror else "pypi"
    kept = cache / f"dependencies-{subject.sha256[:16]}-{tool}-{source}-{asked_at[:10]}.json"
    report = _kept(kept)
    error = ""
    if report is None:
        report, error = _ask(wanted, cache, mirror, run)
        if report is not None:
            report["asked_at"] = asked_at
            kept.write_text(json.dumps(report), encoding="utf-8")
    verdict, reason, findings, covered = _judge(report, wanted, error)
    return Scan(
        tool="pip-audit",
        version=tool,
        subject=subject.name,
        subject_sha256=subject.sha256,
        covered=covered,
        total=len(wanted),
        verdict=verdict,
        reason=reason,
        # Both services answer from live data, so the data are of the day on which they were asked.
        database_date=asked_at[:10] if covered else None,
        scanned_at=asked_at if report is None else str(report["asked_at"]),
        findings=findings,
    )


def _ask(wanted: Mapping[str, str], cache: Path, mirror: str, run: Run) -> tuple[dict[str, Any] | None, str]:
    """The report on all pins and the canary, and why there is none."""
    cache.mkdir(parents=True, exist_ok=True)
    asked = cache / "dependencies.request.txt"
    asked.write_text("".join(f"{name}=={pin}\n" for name, pin in [*wanted.items(), CANARY]), encoding="utf-8")
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(asked), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--timeout", str(REQUEST_LIMIT_S), "--progress-spinner", "off"]
    command += ["--vulnerability-service", "osv", "--osv-url", mirror] if mirror else []
    answer = run(command, LIMIT_S)
    report = _report(answer.stdout)
    return report, "" if report is not None else words(answer)


def _judge(
    report: Mapping[str, Any] | None, wanted: Mapping[str, str], error: str
) -> tuple[Verdict, str, tuple[str, ...], int]:
    total = len(wanted)
    if report is None:
        return "incomplete", f"no advisory data: pip-audit gave no report: {error}", (), 0
    looked_at = [package for package in report["dependencies"] if "skip_reason" not in package]
    canary = [package for package in looked_at if (package["name"], package["version"]) == CANARY]
    ours = [package for package in looked_at if wanted.get(package["name"]) == package["version"]]
    findings = tuple(
        f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'none'}"
        for package in ours
        for found in package["vulns"]
    )
    covered = len({package["name"] for package in ours})
    if findings:
        return "fail", f"{len(findings)} known vulnerabilities", findings, covered
    if covered == 0:
        return "incomplete", f"no advisory data: all {total} packages were skipped", (), covered
    if not any(package["vulns"] for package in canary):
        reason = f"no advisory data: the source does not know the vulnerabilities of {' '.join(CANARY)}"
        return "incomplete", reason, (), 0
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
        report = _report(path.read_text(encoding="utf-8"))
    except OSError:
        return None
    return report if report is not None and "asked_at" in report else None
