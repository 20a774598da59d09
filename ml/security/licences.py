"""The licence of every locked package, by pip-licenses, against the committed list `ml/security/licences.toml`.

A licence that is not allowed fails. One that a package does not state, or that the list does not know, leaves the
package uncovered, so the scan is no pass until somebody has read it and written a line with a reason.
"""

import hashlib
import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ml.security.locks import canonical, pins
from ml.security.result import Run, Scan, Verdict, words
from ml.security.subjects import LOCK, of_lock

LIST = Path(__file__).with_name("licences.toml")
LIMIT_S = 60.0
Answer = Literal["allowed", "denied", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What `licences.toml` says: SPDX id -> reason, other names of licences, and packages read by a person."""

    allowed: Mapping[str, str]
    denied: Mapping[str, str]
    names: Mapping[str, str]
    read: frozenset[tuple[str, str]]
    """Package and the licence that it stated when somebody read it; another licence is read again."""


def rules(path: Path = LIST) -> Rules:
    """The committed list."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    unexplained = [entry for entry in raw["packages"] if not entry.get("reason")]
    if unexplained or not all((*raw["allowed"].values(), *raw["denied"].values())):
        raise ValueError(f"{path.name}: an entry has no reason")
    return Rules(
        allowed=raw["allowed"],
        denied=raw["denied"],
        names=raw["names"],
        read=frozenset((canonical(entry["name"]), entry["licence"]) for entry in raw["packages"]),
    )


def judged(package: str, stated: str, by: Rules) -> Answer:
    """Whether a package may be used with the licence that it states.

    Reads `A OR B AND C` as `(A OR B) AND C`, which allows less than SPDX does; brackets and WITH are unknown.
    """
    parts = [part.strip() for part in stated.replace(" AND ", ";").split(";")]
    options = [[by.names.get(word.strip(), word.strip()) for word in part.split(" OR ")] for part in parts]
    if any(all(word in by.denied for word in part) for part in options):
        return "denied"
    if (package, stated) in by.read or all(any(word in by.allowed for word in part) for part in options):
        return "allowed"
    return "unknown"


class _Told(NamedTuple):
    verdict: Verdict
    reason: str
    findings: tuple[str, ...]
    covered: int


def scan_licences(root: Path, out: Path, run: Run) -> Scan:
    """Judge every package of the lock file and write the list to `out`."""
    subject = of_lock(root, LOCK)
    wanted = pins(root / LOCK)
    command = [sys.executable, "-m", "piplicenses", "--python", sys.executable, "--with-system", "--with-urls"]
    answer = run([*command, "--from", "mixed", "--format", "json"], LIMIT_S)
    try:
        found = {canonical(entry["Name"]): entry for entry in json.loads(answer.stdout)}
    except (ValueError, KeyError, TypeError):
        told = _Told("incomplete", f"pip-licenses gave no list: {words(answer)}", (), 0)
    else:
        told = _judge(wanted, found, out)
    return Scan(
        tool="pip-licenses",
        version=version("pip-licenses"),
        subject=subject.name,
        subject_sha256=subject.sha256,
        covered=told.covered,
        total=len(wanted),
        verdict=told.verdict,
        reason=told.reason,
        findings=told.findings,
    )


def _judge(wanted: Mapping[str, str], found: Mapping[str, Any], out: Path) -> _Told:
    by = rules()
    installed = {name: found[name] for name, pin in wanted.items() if found.get(name, {}).get("Version") == pin}
    answers = {name: judged(name, entry["License"], by) for name, entry in installed.items()}
    listed = [
        {"package": name, "version": entry["Version"], "licence": entry["License"], "judged": answers[name]}
        for name, entry in sorted(installed.items())
    ]
    text = json.dumps(listed, indent=1) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    findings = [f"{name} {wanted[name]}: is not installed, so its licence is not known" for name in wanted
                if name not in installed]  # fmt: skip
    findings += [
        f"{name} {wanted[name]}: {_short(installed[name]['License'])} is {_WORDS[answer]}"
        for name, answer in answers.items()
        if answer != "allowed"
    ]
    covered = sum(answer != "unknown" for answer in answers.values())
    denied = sum(answer == "denied" for answer in answers.values())
    verdict: Verdict = "fail" if denied else "pass" if covered == len(wanted) > 0 else "incomplete"
    digest = hashlib.sha256(text.encode()).hexdigest()
    reason = f"{denied} denied, {len(wanted) - covered} unknown of {len(wanted)} packages; list sha256 {digest}"
    return _Told(verdict, reason, tuple(sorted(findings)), covered)


_WORDS: Mapping[Answer, str] = {
    "denied": "denied by ml/security/licences.toml",
    "unknown": "not known to ml/security/licences.toml: read it and write a line with a reason",
}


def _short(licence: str) -> str:
    line = licence.strip().splitlines()[0] if licence.strip() else ""
    return repr(line if len(line) <= 60 else f"{line[:60]}…")
