"""The evidence of a release's image: `releases/<id>/images/<sha256>.json`, what was found inside the image by digest.

A record is made before its image exists, so what the image really holds is a second piece of evidence, bound to both
by their digests and signed like the record, beside it in `<sha256>.dsse.json`. The release walk scans between image and
slot; `mlp promote` commits the result; a stack that builds nothing asks for it.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ml.errors import GateError
from ml.gate.scans import is_young
from ml.release import envelope
from ml.release.keys import Trusted, trusted
from ml.release.record import Problem as SignatureProblem
from ml.release.record import canonical_bytes, digest_of, parse, read, seal
from ml.release.store import IMAGES, Release
from ml.security.result import Scan, moment
from ml.security.run import unanswered

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

SCHEMA = "ml-pipeline/image/v1"
PREDICATE_TYPE: Final = "https://ml-pipeline.invalid/image-evidence/v1"
REQUIRED = ("image-python", "image-debian")
_SHA256 = re.compile(r".+@sha256:([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageEvidence:
    """What was found in one image of one release. `scanned_at` is UTC, `2026-01-31T12:00:00Z`."""

    release: str
    record_digest: str
    image: str
    scanned_at: str
    scans: Mapping[str, Scan]

    def to_bytes(self) -> bytes:
        """The canonical, sealed form."""
        fields = {
            "schema": SCHEMA,
            "release": self.release,
            "record_digest": self.record_digest,
            "image": self.image,
            "scanned_at": self.scanned_at,
            "scans": {name: scan.to_json() for name, scan in self.scans.items()},
        }
        return canonical_bytes(seal(fields))

    @property
    def incomplete(self) -> list[str]:
        """What it rests on a waiver for, such as scan/image-debian; empty when every scan passed."""
        return _not_passed({name: scan.verdict for name, scan in self.scans.items()})


def judged(release: Release, image: str, scans: Mapping[str, Scan], now: datetime) -> ImageEvidence:
    """What a look into the image gave, as evidence, if the image may run.

    Raises:
        GateError: If it must not, naming everything that was found.
    """
    evidence = ImageEvidence(
        release=release.id,
        record_digest=release.digest,
        image=image,
        scanned_at=moment(now),
        scans={name: replace(scan, scanned_at=scan.scanned_at or moment(now)) for name, scan in scans.items()},
    )
    raw = evidence.to_bytes()
    refuse(release, image, parse(raw), raw)
    return evidence


def path_of(release: Release, image: str) -> Path:
    """Where the evidence of this image stands, whether it is there or not.

    Raises:
        GateError: If the image is not named by digest.
    """
    found = _SHA256.fullmatch(image)
    if found is None:
        raise GateError("ML-SCAN-003", f"image {image!r}: must be named by digest", "mlp promote writes digests")
    return release.directory / IMAGES / f"{found[1]}.json"


def signature_of(release: Release, image: str) -> Path:
    """Where the signature of that evidence stands.

    Raises:
        GateError: If the image is not named by digest.
    """
    return path_of(release, image).with_suffix(".dsse.json")


def write(release: Release, evidence: ImageEvidence, signer: "Signer") -> Path:
    """Put the evidence beside the record, signed."""
    path, raw = path_of(release, evidence.image), evidence.to_bytes()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(raw)
    signature_of(release, evidence.image).write_bytes(envelope.sealed(_statement(raw, parse(raw)), signer))
    return path


def scanned_on(release: Release, image: str, day: str) -> bool:
    """Whether the committed evidence of this image is of that day (`2026-01-31`) and holds."""
    try:
        refuse_committed(release, image)
        found = str(parse(path_of(release, image).read_bytes())["scanned_at"])
    except (GateError, OSError, KeyError):
        return False
    return found[:10] == day


def unjudged(release: Release, image: str | None) -> list[str]:
    """What the committed evidence of this image rests on a waiver for, such as scan/image-debian; empty without any.

    Says nothing about whether the evidence holds: see `refuse_committed`.
    """
    try:
        found = parse(path_of(release, image or "").read_bytes()).get("scans")
    except (GateError, OSError):
        return []
    scans = found if isinstance(found, dict) else {}
    return _not_passed({name: scan.get("verdict") for name, scan in scans.items() if isinstance(scan, dict)})


def _not_passed(verdicts: Mapping[str, object]) -> list[str]:
    return [f"scan/{name}" for name, verdict in sorted(verdicts.items()) if verdict != "pass"]


def refuse_committed(release: Release, image: str) -> None:
    """Refuse an image whose committed evidence is missing, was changed, is about something else, or did not pass.

    Raises:
        GateError: Naming everything that is wrong.
    """
    path = path_of(release, image)
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        message = f"release {release.id}: nobody has scanned its image {image}: {path.name} is not in {path.parent}"
        raise GateError("ML-SCAN-003", message, "mlp promote, which scans and writes it; then commit it") from error
    refuse_unsigned(release, image, raw, trusted(release.directory.parents[1]))
    refuse(release, image, parse(raw), raw)


def refuse_unsigned(release: Release, image: str, raw: bytes, trust: Trusted) -> None:
    """Refuse evidence that nobody trusted has signed: whoever can write a file could have made it.

    Raises:
        GateError: `ML-SCAN-005` without a signature, `ML-SCAN-006` with one that does not hold.
    """
    place = signature_of(release, image)
    signed = place.read_bytes() if place.is_file() else None
    found = list(_signature_problems(signed, raw, trust))
    if found:
        code = "ML-SCAN-005" if signed is None else "ML-SCAN-006"
        listed = "".join(f"\n  - {problem}" for problem in found)
        message = f"release {release.id}: the evidence of its image {image} is not proven:{listed}"
        fix = "mlp promote, which scans the image again and signs; it needs a trusted key: mlp keys create"
        raise GateError(code, message, fix)


def _signature_problems(signed: bytes | None, raw: bytes, trust: Trusted) -> Iterator[SignatureProblem]:
    what = "the evidence of the image"
    content, key, found = envelope.opened(signed, trust, what)
    yield from found
    if key is None:
        return
    fields, _ = read(raw)
    yield from envelope.key_problems(key, fields.get("scanned_at"), what)
    said, reason = envelope.statement_in(content, PREDICATE_TYPE)
    must = _statement(raw, fields)
    if said is None:
        message = f"what is signed is no statement about an image: {reason}"
        yield SignatureProblem(code="ML-REL-139", message=message)
    elif envelope.digests(said) != envelope.digests(must) or said.get("predicate") != must["predicate"]:
        yield SignatureProblem(code="ML-REL-136", message="the signature is about other evidence than this")


def _statement(raw: bytes, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is signed: the hash of the evidence, and which image of which release it is about."""
    files = {"evidence.json": hashlib.sha256(raw).hexdigest()}
    predicate = {name: str(fields.get(name)) for name in ("release", "record_digest", "image", "scanned_at")}
    return envelope.statement(files, PREDICATE_TYPE, predicate)


def refuse(release: Release, image: str, fields: Mapping[str, Any], raw: bytes) -> None:
    """Refuse evidence that was changed, is about something else, or did not pass by the release's own policy.

    Raises:
        GateError: Naming everything that is wrong.
    """
    expected = {"schema": SCHEMA, "release": release.id, "record_digest": release.digest, "image": image}
    found = [
        f"{name} is {fields.get(name)!r}, must be {must!r}"
        for name, must in expected.items()
        if fields.get(name) != must
    ]
    if fields.get("digest") != digest_of(fields) or canonical_bytes(fields) != raw:
        found.append("it was changed since it was sealed")
    found += _scan_problems(release, image, fields)
    if found:
        message = f"release {release.id}: the evidence of its image {image} is refused: {'; '.join(found)}"
        raise GateError("ML-SCAN-004", message, f"mlp scan --image {image}")


def _scan_problems(release: Release, image: str, fields: Mapping[str, Any]) -> list[str]:
    try:
        scans = {name: Scan(**{**scan, "findings": tuple(scan["findings"])}) for name, scan in fields["scans"].items()}
        day = str(fields["scanned_at"])[:10]
    except (AttributeError, KeyError, TypeError) as error:
        return [f"its scans cannot be read: {error!r}"]
    missing = [f"scan {name} is missing" for name in REQUIRED if name not in scans]
    others = [f"scan {name} is about {scan.subject!r}" for name, scan in scans.items() if scan.subject != image]
    limit = release.record["gate"]["policy"]["scans"]["max_age_hours"]
    others += [
        f"scan {name} was made at {scan.scanned_at!r}, must be at most {limit} h before {fields['scanned_at']}"
        for name, scan in scans.items()
        if not is_young(scan.scanned_at, fields["scanned_at"], limit)
    ]
    bad = [
        f"scan {name} is {scans[name].verdict}: {scans[name].reason}; {', '.join(scans[name].findings[:5])}".rstrip(
            "; "
        )
        for name in unanswered(scans, release.record["gate"]["policy"], day)
    ]
    return [*missing, *others, *bad]
