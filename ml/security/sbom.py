"""Bills of materials, CycloneDX, made from lock files: of the serving image, and of everything that makes a release."""

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

from ml.security.locks import canonical, pins
from ml.security.result import Run, Scan, Verdict, words
from ml.security.subjects import of_lock

LIMIT_S = 180.0  # seconds where the machine is idle


def scan_sbom(root: Path, lock: Path, out: Path, run: Run) -> Scan:
    """Write the SBOM of `lock`, relative to `root`, to `out`; passes when it names every pin."""
    subject, wanted = of_lock(root, lock), pins(root / lock)
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible", "--of", "JSON"]
    answer = run([*command, str(root / lock)], LIMIT_S)
    verdict: Verdict = "incomplete"
    covered = 0
    findings: tuple[str, ...] = ()
    reason = f"cyclonedx-py gave no SBOM: {words(answer)}"
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
        subject=subject.name,
        subject_sha256=subject.sha256,
        covered=covered,
        total=len(wanted),
        verdict=verdict,
        reason=reason,
        findings=findings,
    )
