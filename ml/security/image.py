"""What is inside a built image: every Python distribution and Debian package, held against the serving lock file.

Runs nothing of the image but its own Python and dpkg, without network and without rights.
"""

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml.errors import SurroundingsError, UsageError
from ml.security.locks import canonical, pins
from ml.security.result import Answer, Run, Scan
from ml.security.run import SCANS_FOLDER
from ml.security.subjects import SERVING_LOCK
from toolchain.environment import pulumi_env

LIMIT_S = 120.0
_DIGEST = re.compile(r".+@sha256:([0-9a-f]{64})")
_DEBIAN_FOLDER = "/usr/lib/python3/dist-packages"  # there dpkg put them, so the Debian list has them
_LIST = (
    "import importlib.metadata as m, json, os, pathlib, sys;"
    # Isolated Python does not look at PYTHONPATH, which is where the image has its packages.
    "where = [*sys.path, *filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))];"
    "status = pathlib.Path('/var/lib/dpkg/status');"
    "print(json.dumps({"
    "'python': [[d.metadata['Name'], d.version, str(d.locate_file(''))] for d in m.distributions(path=where)],"
    "'debian': status.read_text() if status.exists() else ''}))"
)


def run_docker(command: Sequence[str], limit_s: float) -> Answer:
    """Run docker against the project's own engine."""
    try:
        done = subprocess.run(
            ["docker", *command], env=pulumi_env(), capture_output=True, text=True, timeout=limit_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer(exit_code=None, error=str(error))
    return Answer(exit_code=done.returncode, stdout=done.stdout, error=done.stderr.strip()[-300:])


def scan_image(root: Path, image: str, lock: Path = SERVING_LOCK, run: Run = run_docker) -> dict[str, Scan]:
    """Scan an image given by digest; the result is also written to `.build/scans/<digest>.json`.

    Raises:
        UsageError: If the image is not given by digest.
        SurroundingsError: If it cannot be run.
    """
    digest = _DIGEST.fullmatch(image)
    if digest is None:
        message = f"image {image!r}: must be given by digest, NAME@sha256: and 64 hex digits"
        raise UsageError("ML-SCAN-001", message, "kubectl get deployment model-blue -o yaml shows it")
    inside = _inside(image, run)
    debian = _debian(str(inside["debian"]))
    common: dict[str, Any] = {"subject": image, "subject_sha256": digest[1], "version": version("ml-pipeline")}
    scans = {
        "image-python": _python_scan(inside["python"], pins(root / lock), common),
        "image-debian": _debian_scan(debian, common),
    }
    out = root / SCANS_FOLDER / f"{digest[1]}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    results = {name: scan.to_json() for name, scan in scans.items()}
    packages = {"python": sorted(inside["python"]), "debian": debian}
    out.write_text(
        json.dumps({"image": image, "scans": results, "packages": packages}, indent=1, sort_keys=True) + "\n"
    )
    return scans


def _inside(image: str, run: Run) -> dict[str, Any]:
    safe = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    answer = run(["run", "--rm", *safe, "--entrypoint", "python3", image, "-I", "-c", _LIST], LIMIT_S)
    if answer.exit_code == 0:
        try:
            found: dict[str, Any] = json.loads(answer.stdout)
        except ValueError:
            pass  # said below
        else:
            return found
    message = f"image {image}: its packages cannot be listed: {answer.error or answer.stdout[-200:]!r}"
    raise SurroundingsError(
        "ML-SCAN-002", message, "mlp cluster up starts the engine; docker pull shows whether it can"
    )


def _python_scan(found: Sequence[Sequence[str]], wanted: Mapping[str, str], common: Mapping[str, Any]) -> Scan:
    ours = {canonical(name): number for name, number, folder in found if folder.rstrip("/") != _DEBIAN_FOLDER}
    findings = [f"{name} {number}: not in the lock file" for name, number in ours.items() if name not in wanted]
    findings += [
        f"{name} {number}: the lock file says {wanted[name]}"
        for name, number in ours.items()
        if name in wanted and wanted[name] != number
    ]
    findings += [
        f"{name} {number}: in the lock file, not in the image" for name, number in wanted.items() if name not in ours
    ]
    return Scan(
        tool="ml.security",
        covered=len(ours),
        total=len(ours),
        verdict="fail" if findings else "pass",
        reason=f"{len(ours)} Python distributions against {len(wanted)} pins",
        findings=tuple(sorted(findings)),
        **common,
    )


def _debian(status: str) -> list[str]:
    """`name version` of every installed package in dpkg's status file."""
    found = []
    for block in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Status): (.+)$", block, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            found.append(f"{fields.get('Package')} {fields.get('Version')}")
    return sorted(found)


def _debian_scan(packages: Sequence[str], common: Mapping[str, Any]) -> Scan:
    listed = hashlib.sha256("\n".join(packages).encode()).hexdigest()
    reason = f"no advisory data: {len(packages)} packages listed (sha256 {listed[:16]}), none judged"
    return Scan(tool="dpkg", covered=0, total=len(packages), verdict="incomplete", reason=reason, **common)
