"""Passwords, tokens and keys in the checkout, by detect-secrets, against the committed baseline `.secrets.baseline`.

The baseline holds the tool's settings and every false alarm with somebody's word on it (`"is_secret": false`); what is
not in it fails. A file that did not change is not read again: findings are kept by file, content, tool and settings.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml.security.result import Run, Scan, Verdict, words
from ml.security.subjects import Subject, of_checkout

BASELINE = Path(".secrets.baseline")
LIMIT_S = 180.0
_SETTINGS = ("plugins_used", "filters_used")

Found = Mapping[str, Sequence[Sequence[Any]]]
"""File -> findings, each [type, hash of what was found, line]."""


def scan_secrets(root: Path, folder: Path, run: Run) -> Scan:
    """Look at every text file of the checkout; pictures and other binaries hold no lines and are only counted.

    Args:
        root: The checkout.
        folder: Where findings of unchanged files are kept.
        run: Runs the tool.
    """
    subject = of_checkout(root)
    verdict: Verdict = "incomplete"
    covered, total = 0, len(subject.files)
    findings: tuple[str, ...] = ()
    baseline = _read(root / BASELINE)
    if baseline is None:
        reason = f"{BASELINE} is missing or is no baseline of detect-secrets: restore it from version control"
    else:
        found, binary, reason = _look(root, subject, folder, baseline, run)
        covered, total = len(found), len(subject.files) - binary
        findings = tuple(_judge(found, baseline["results"]))
        if findings:
            verdict, reason = "fail", f"{len(findings)} findings in {covered} of {total} text files"
        elif covered == total > 0:
            verdict, reason = "pass", f"none in {total} text files, {_accepted(found)} audited; {binary} binary files"
    return Scan(
        tool="detect-secrets",
        version=version("detect-secrets"),
        subject=subject.name,
        subject_sha256=subject.sha256,
        covered=covered,
        total=total,
        verdict=verdict,
        reason=reason,
        findings=findings,
    )


def _look(root: Path, subject: Subject, folder: Path, baseline: Mapping[str, Any], run: Run) -> tuple[Found, int, str]:
    """What was found in each text file that was read, the number of binary files, and why files are missing."""
    settings = {key: baseline[key] for key in _SETTINGS}
    kept_at = folder / f"secret-files-{version('detect-secrets')}-{_short(json.dumps(settings))}.json"
    kept = _kept(kept_at)
    keys = {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in subject.files}
    keys.pop(BASELINE.as_posix(), None)
    known = {name: kept[name]["found"] for name, key in keys.items() if kept.get(name, {}).get("key") == key}
    open_ones = sorted({*keys} - {*known})
    answer, reason = _ask(root, open_ones, folder, settings, run) if open_ones else ({}, "")
    found = {**known, **answer}
    folder.mkdir(parents=True, exist_ok=True)
    kept_at.write_text(json.dumps({name: {"key": keys[name], "found": found[name]} for name in found}))
    binary = sum(1 for lines in found.values() if lines is None)
    baseline_itself: dict[str, list[Any]] = {
        BASELINE.as_posix(): []
    }  # hashes of what was audited; the tool does not read it either
    return {**{n: lines for n, lines in found.items() if lines is not None}, **baseline_itself}, binary, reason


def _ask(
    root: Path, files: Sequence[str], folder: Path, settings: Mapping[str, Any], run: Run
) -> tuple[dict[str, Any], str]:
    """File -> findings, None for a binary file; and why there is no answer."""
    folder.mkdir(parents=True, exist_ok=True)
    request = folder / "secret-files.request.json"
    request.write_text(json.dumps({"root": str(root), "files": list(files), "settings": settings}))
    answer = run([sys.executable, "-m", "ml.security.secret_files", str(request)], LIMIT_S)
    try:
        told = json.loads(answer.stdout)
        return {**dict.fromkeys(told["binary"]), **told["found"]}, ""
    except (ValueError, KeyError, TypeError):
        return {}, f"{len(files)} files were not read: detect-secrets gave no report: {words(answer)}"


def _judge(found: Found, audited: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """Findings that nobody declared harmless, one line each; never what was found itself."""
    for name in sorted(found):
        said = {(entry["type"], entry["hashed_secret"]): entry.get("is_secret") for entry in audited.get(name, ())}
        for kind, digest, line in found[name]:
            word = said.get((kind, digest))
            if word is not False:
                why = "not in the baseline" if (kind, digest) not in said else "in the baseline without an audit"
                yield f"{name}:{line}: {kind}, {'a real secret by its audit' if word else why}"


def _accepted(found: Found) -> int:
    return sum(len(lines) for lines in found.values())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        baseline = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    fits = isinstance(baseline, dict) and all(key in baseline for key in (*_SETTINGS, "results"))
    return baseline if fits else None


def _kept(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
