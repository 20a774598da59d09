"""Runs the scans whose results stand in a release's record, and says which of them an exception covers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml.security.code import scan_code
from ml.security.dependencies import scan_dependencies
from ml.security.model_files import scan_model_files
from ml.security.result import Run, Scan, run_tool
from ml.security.sbom import scan_sbom

SCANS_FOLDER = Path(".build/scans")
LOCK = Path("requirements.txt")
SERVING_LOCK = Path("images/serving/requirements.txt")


def scan_all(
    root: Path, release_dir: Path | None, today: str, progress: Callable[[str], None], run: Run = run_tool
) -> dict[str, Scan]:
    """Every scan by its name in the record.

    Args:
        root: The checkout.
        release_dir: The release's files; None leaves the model files out.
        today: The day as `2026-01-31`.
        progress: Told what is being scanned.
        run: Runs a tool.
    """
    folder = root / SCANS_FOLDER
    scans: dict[str, Scan] = {}
    progress("scanning our code")
    scans["code"] = scan_code(root, run)
    progress("scanning the dependencies")
    scans["dependencies"] = scan_dependencies(root, root / LOCK, folder, today, run)
    progress("writing the bill of materials")
    scans["sbom"] = scan_sbom(root, root / SERVING_LOCK, folder / "serving.cdx.json", run)
    if release_dir is not None:
        progress("looking at the model's files")
        scans["model-files"] = scan_model_files(release_dir, "the release's files")
    return scans


def unanswered(scans: Mapping[str, Scan], policy: Mapping[str, Any], today: str) -> list[str]:
    """Names of scans that failed, or are incomplete without an exception that holds today."""
    excepted = {item["scan"] for item in policy["scans"]["exceptions"] if today <= item["expires"]}
    return [
        name
        for name, scan in scans.items()
        if scan.verdict == "fail" or (scan.verdict == "incomplete" and name not in excepted)
    ]
