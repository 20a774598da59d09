"""The bill of materials of the serving image's Python packages, CycloneDX, made from its lock file."""

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

from ml.security.locks import canonical, pins
from ml.security.result import Run, Scan, Verdict, sha256_of_files

LIMIT_S = 60.0


def scan_sbom(root: Path, lock: Path, out: Path, run: Run) -> Scan:
    """Write the SBOM to `out`; passes when it names every package of the lock file, with its version."""
    wanted = pins(lock)
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible", "--of", "JSON"]
    answer = run([*command, str(lock)], LIMIT_S)
    verdict: Verdict = "incomplete"
    covered = 0
    findings: tuple[str, ...] = ()
    reason = f"cyclonedx-py gave no SBOM: {answer.error or f'exit code {answer.exit_code}'}"
    try:
        components = {canonical(c["name"]): c.get("version") for c in json.loads(answer.stdout).get("components", [])}
    except ValueError:
        pass  # the reason above stands
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(answer.stdout, encoding="utf-8")
        findings = tuple(
            f"{name} {pin}: not in the SBOM" for name, pin in wanted.items() if components.get(name) != pin
        )
        covered = len(wanted) - len(findings)
        verdict = "fail" if findings or not wanted else "pass"
        digest = hashlib.sha256(answer.stdout.encode()).hexdigest()
        reason = f"{len(components)} components, SBOM sha256 {digest}"
    return Scan(
        tool="cyclonedx-bom",
        version=version("cyclonedx-bom"),
        subject=lock.relative_to(root).as_posix(),
        subject_sha256=sha256_of_files(root, [lock]),
        covered=covered,
        total=len(wanted),
        verdict=verdict,
        reason=reason,
        findings=findings,
    )
