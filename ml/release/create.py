"""Makes a release: train, judge against the champion, measure drift, scan, decide, write; all of it or nothing.

The one place that writes `releases/<id>/`. A release that fails is written as well: the record is the evidence, and
nothing will deploy it.
"""

import contextlib
import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import GateError, UsageError
from ml.gate import policy as policies
from ml.gate.judge import evidence_of, judge, section
from ml.gate.metrics import plain
from ml.release.fields import SCHEMA
from ml.release.proof import OF_A_VERDICT, problems
from ml.release.record import RELEASE_ID, canonical_bytes, seal
from ml.release.record import Problem as RecordProblem
from ml.release.signature import SIGNATURE, sign
from ml.release.store import RECORD, Release, load, next_id, verify
from ml.security import subjects
from ml.security.result import Scan
from ml.security.run import scan_all
from ml.training.plan import NONE as NO_SEARCH

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from ml.problem import Problem
    from ml.training.candidate import Candidate
    from ml.training.plan import SearchPlan

Progress = Callable[[str], None]
Scanner = Callable[[Path, Path, datetime, Progress], Mapping[str, Scan]]
Measure = Callable[[bytes, Mapping[str, Any], Any], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What to make. `champion` is a release id, or None for a release without one; `seed` None is the usual one.

    `search` is a budget for the hyper-parameter search, or the section of one that was done elsewhere.
    """

    through: str | None
    champion: str | None
    release_id: str | None = None
    seed: int | None = None
    search: "SearchPlan | Mapping[str, Any]" = NO_SEARCH


def create(  # noqa: PLR0913  (keyword-only: the clock, the key, the display and the scanner are the caller's)
    root: Path,
    problem: "Problem",
    request: Request,
    *,
    now: datetime,
    signer: "Signer",
    progress: Progress,
    scan: Scanner = scan_all,
    measure: Measure | None = None,
) -> Release:
    """Make a release, sign it and write it to `releases/<id>/`, whatever its verdict.

    Raises:
        UsageError: If the id is taken or malformed.
        GateError: If the champion does not verify or cannot be compared.
        PipelineError: Whatever training raises. Nothing is written then.
    """
    policy = policies.load(problem.kind, own_policy(problem))
    release_id = request.release_id or next_id(root, problem.name)
    target = _free(root, release_id)
    champion = None if request.champion is None else verify(root, request.champion)
    with _scratch(root, release_id) as folder:
        candidate = _train(problem, request, folder, progress, measure)
        fields = _facts(root, release_id, candidate, now)
        fields |= _judged(champion, problem, candidate, progress)
        fields["drift"] = _drift(problem, candidate, policy["drift"], fields["files"], progress)
        fields["subjects"] = subjects.all_of(root)
        fields["scans"] = _scans(scan(root, folder, now, progress))
        record = seal({**fields, "gate": section(judge(evidence_of(fields), policy), policy)})
        raw = canonical_bytes(record)
        _check_own_work(problems(raw), release_id)
        (folder / RECORD).write_bytes(raw)
        (folder / SIGNATURE).write_bytes(sign(raw, signer))
        target.parent.mkdir(exist_ok=True)
        _move(folder, target)
    release = load(root, release_id)
    _report(root, release, progress)
    return release


def own_policy(problem: "Problem") -> Path | None:
    """Where the problem's own `gate.toml` would stand."""
    spec = importlib.util.find_spec(problem.package)
    folders = spec.submodule_search_locations if spec is not None else None
    return Path(folders[0]) / "gate.toml" if folders else None


def _free(root: Path, release_id: str) -> Path:
    if RELEASE_ID.fullmatch(release_id) is None or release_id.endswith("-0000"):
        message = f"release id {release_id!r}: must be a name, a dash and four digits from 0001, such as flights-0001"
        raise UsageError("ML-REL-003", message, "leave --id out for the next free one")
    target = root / "releases" / release_id
    if target.exists():
        message = f"release {release_id} exists: a release never changes"
        raise UsageError("ML-REL-004", message, "leave --id out for the next free one")
    return target


@contextlib.contextmanager
def _scratch(root: Path, release_id: str) -> Iterator[Path]:
    """A folder beside the releases' own, so that one rename makes the release appear whole."""
    folder = root / ".build" / "releases" / release_id
    shutil.rmtree(folder, ignore_errors=True)  # left by a run that was killed
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError as error:
        message = f"{target} cannot be made: {error.strerror}"
        raise UsageError("ML-REL-004", message, "another run may have made it: run the command again") from error


def _train(
    problem: "Problem", request: Request, folder: Path, progress: Progress, measure: Measure | None
) -> "Candidate":
    from ml.training import run  # noqa: PLC0415  (a second of imports, after the cheap checks)

    seed = run.SEED if request.seed is None else request.seed
    measured = run.MEASURE if measure is None else measure
    return run.train(
        problem,
        request.through,
        out=folder,
        seed=seed,
        progress=progress,
        measure=measured,
        search=request.search,
    )


def _report(root: Path, release: Release, progress: Progress) -> None:
    """The page beside the record. Last: it is a view, and `mlp release report` makes it again at any time."""
    from ml.release.report import write  # noqa: PLC0415  (draws: seconds of imports)

    progress("write the report")
    write(root, release)


def _facts(root: Path, release_id: str, candidate: "Candidate", now: datetime) -> dict[str, Any]:
    """What training found out, as the record holds it."""
    return {
        "schema": SCHEMA,
        "release": release_id,
        "problem": candidate.problem,
        "kind": candidate.kind,
        "created_at": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": dict(candidate.data),
        "code": {**_commit(root), "tree_sha256": candidate.tree_sha256},
        "lock_sha256": candidate.lock_sha256,
        "environment": dict(candidate.environment),
        "parameters": dict(candidate.parameters),
        "files": dict(candidate.files),
        "model": dict(candidate.model),
        "search": None if candidate.search is None else dict(candidate.search),
        "metrics": {name: plain(float(value)) for name, value in candidate.metrics.items()},
    }


def _commit(root: Path) -> dict[str, Any]:
    """The commit, and whether the checkout differs from it in anything but releases and stack settings.

    `tree_sha256` holds with and without git.
    """
    commit = _git(root, "rev-parse", "HEAD")
    # `pulumi stack init` itself writes into the stack's settings.
    changes = _git(root, "status", "--porcelain", "--", ".", ":(exclude)releases", ":(exclude)Pulumi.*.yaml")
    return {"commit": commit or None, "dirty": commit is None or changes != ""}


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _judged(champion: Release | None, problem: "Problem", candidate: "Candidate", progress: Progress) -> dict[str, Any]:
    """The sections `evaluation` and `champion`: both models on the same rows."""
    from ml.release import judged  # noqa: PLC0415  (loads the ONNX runtime)
    from ml.release.champion import section as compare  # noqa: PLC0415

    progress("measure how sure the metrics are")
    ours = judged.answers_of(candidate)
    found: dict[str, Any] = {"evaluation": judged.evaluation(problem, candidate, ours), "champion": None}
    if champion is not None:
        progress(f"judge the champion {champion.id} on the same rows")
        found["champion"] = compare(champion, problem, candidate, ours)
    return found


def _drift(
    problem: "Problem", candidate: "Candidate", policy: Mapping[str, Any], files: dict[str, str], progress: Progress
) -> dict[str, Any]:
    """The record's `drift`; its plot data become one more file of the release."""
    from ml.drift.evidence import FILE, evidence  # noqa: PLC0415  (loads scipy)

    progress("measure drift between the reference and the test rows")
    section, plots = evidence(problem, candidate, policy)
    candidate.model_path.with_name(FILE).write_bytes(plots)
    files[FILE] = sha256(plots).hexdigest()
    return section


def _scans(scans: Mapping[str, Scan]) -> dict[str, Any]:
    return {name: scan.to_json() for name, scan in scans.items()}


def _check_own_work(found: list[RecordProblem], release_id: str) -> None:
    """Never write a record that would be refused for anything but its verdict."""
    faults = [problem for problem in found if problem.code not in OF_A_VERDICT]
    if faults:
        listed = "".join(f"\n  - {fault}" for fault in faults)
        message = f"release {release_id} was not written, its record would not verify:{listed}"
        raise GateError("ML-REL-007", message, "this is a fault of the pipeline: report it with these lines")
