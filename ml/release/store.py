"""Releases as folders of files: `releases/<id>/` with the record, the model and what serving needs to know.

Reads only, but for a new signature; `ml.release.create` is the one place that writes a release. Called by the command
line, the Pulumi program and the policy pack's tests.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import GateError, UsageError
from ml.release import keys, signature
from ml.release.proof import OF_A_VERDICT, problems
from ml.release.record import FILE_NAME, RELEASE_ID, Problem, parse
from ml.release.signature import OF_A_SIGNATURE, SIGNATURE, sign

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

RECORD = "record.json"
REPORT = "report.html"
IMAGES = "images"  # what was found in the images that were built from the release; see ml.release.images
FILES = ("model.onnx", "serving.json")  # what every release has; its record may name more
_RESERVED = "-0000"  # ids of made-up examples


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One release folder as read; `raw` are the record's bytes. Reading alone proves nothing: see `verify`."""

    id: str
    directory: Path
    record: Mapping[str, Any]
    raw: bytes

    @property
    def digest(self) -> str:
        """The record's digest, which names the release's content."""
        return str(self.record["digest"])

    @property
    def signature(self) -> bytes | None:
        """The signature's envelope; None when the release is not signed."""
        path = self.directory / SIGNATURE
        return path.read_bytes() if path.is_file() else None


def list_ids(root: Path) -> list[str]:
    """Ids of all releases in the checkout, sorted; whether they verify is another question."""
    folder = root / "releases"
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if _is_id(entry.name) and (entry / RECORD).is_file())


def next_id(root: Path, problem: str) -> str:
    """The first id of the problem above every one that exists, so that an id is never used twice.

    Raises:
        UsageError: If the problem's name cannot begin a release id, or 9999 releases exist.
    """
    used = [int(entry[-4:]) for entry in _entries(root) if entry[:-5] == problem]
    found = f"{problem}-{max(used, default=0) + 1:04d}"
    if RELEASE_ID.fullmatch(found) is None:
        message = f"{found!r} is no release id: lower-case letters and dashes, a dash and four digits"
        raise UsageError("ML-REL-003", message, "name the release with --id, or rename the problem")
    return found


def load(root: Path, release_id: str) -> Release:
    """Read a release without judging it.

    Raises:
        UsageError: If the id is malformed or there is no such release.
        GateError: If its record is not JSON.
    """
    if not _is_id(release_id):
        message = f"release {release_id!r}: an id is a name, a dash and four digits, such as flights-0001"
        raise UsageError("ML-REL-003", message, "mlp release show ID")
    directory = root / "releases" / release_id
    try:
        raw = (directory / RECORD).read_bytes()
    except FileNotFoundError as error:
        known = ", ".join(list_ids(root)[-10:]) or "none yet"
        message = f"release {release_id!r} does not exist; the latest are: {known}"
        raise UsageError("ML-REL-001", message, "mlp release create") from error
    return Release(id=release_id, directory=directory, record=parse(raw), raw=raw)


def inspect(root: Path, release_id: str) -> list[Problem]:
    """Everything wrong with a release: its record, its signature, and the files that the record names.

    Raises:
        UsageError: If the id is malformed or there is no such release.
    """
    try:
        release = load(root, release_id)
    except GateError as error:
        return [Problem(code=error.code, message=error.message)]
    signed = signature.problems(release.signature, release.raw, keys.trusted(root))
    return [*problems(release.raw), *signed, *_file_problems(release)]


def is_trustworthy(root: Path, release_id: str) -> bool:
    """Whether a release is as it was sealed, passed or not; then its record may be shown.

    Raises:
        UsageError: If the id is malformed or there is no such release.
    """
    return all(problem.code in OF_A_VERDICT for problem in inspect(root, release_id))


def verify(root: Path, release_id: str) -> Release:
    """The release, proven: signed by somebody trusted, unchanged, passed, with the files it was judged with.

    Raises:
        UsageError: If the id is malformed or there is no such release.
        GateError: Listing everything that is wrong.
    """
    _refuse(release_id, inspect(root, release_id))
    return load(root, release_id)


def _refuse(release_id: str, found: list[Problem]) -> None:
    if found:
        listed = "".join(f"\n  - {problem}" for problem in found)
        message = f"release {release_id} is refused for {len(found)} reason{'s' if len(found) > 1 else ''}:{listed}"
        raise GateError("ML-REL-002", message, f"git checkout -- releases/{release_id}, or mlp release create")


def sign_again(root: Path, release_id: str, signer: "Signer") -> Release:
    """Replace the signature of a release that is whole but for it; a release that failed stays one that failed.

    Raises:
        UsageError: If there is no such release.
        GateError: If anything else than the verdict or the signature is wrong with it.
    """
    found = [problem for problem in inspect(root, release_id) if problem.code not in OF_A_VERDICT]
    _refuse(release_id, [problem for problem in found if problem.code not in OF_A_SIGNATURE])
    release = load(root, release_id)
    scratch = release.directory / f".{SIGNATURE}"
    try:
        scratch.write_bytes(sign(release.raw, signer))
        scratch.replace(release.directory / SIGNATURE)
    finally:
        scratch.unlink(missing_ok=True)
    return release


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_id(name: str) -> bool:
    return RELEASE_ID.fullmatch(name) is not None and not name.endswith(_RESERVED)


def _entries(root: Path) -> list[str]:
    folder = root / "releases"
    return (
        [entry.name for entry in folder.iterdir() if re.fullmatch(r".+-[0-9]{4}", entry.name)]
        if folder.is_dir()
        else []
    )


def _file_problems(release: Release) -> Iterator[Problem]:
    named = release.record.get("release")
    if named != release.id:
        message = f"releases/{release.id} holds the record of {named!r}: a release's folder is named after it"
        yield Problem(code="ML-REL-122", message=message)
    hashes = release.record.get("files")
    hashes = {name: h for name, h in hashes.items() if FILE_NAME.fullmatch(name)} if isinstance(hashes, dict) else {}
    for name in sorted({*FILES, *hashes}):
        path, expected = release.directory / name, hashes.get(name)
        if not path.is_file():
            yield Problem(code="ML-REL-120", message=f"releases/{release.id}/{name} is missing")
        elif (actual := sha256_of(path)) != expected:
            message = f"releases/{release.id}/{name} has sha256 {actual}, the record says {expected!r}"
            yield Problem(code="ML-REL-121", message=message)
    for path in sorted(release.directory.iterdir()):
        if path.name not in (RECORD, SIGNATURE, REPORT, IMAGES, *FILES, *hashes):
            message = f"releases/{release.id}/{path.name} is not named by the record: nobody judged it"
            yield Problem(code="ML-REL-123", message=message)
