"""The evidence of a release's image: `releases/<id>/images/<sha256>.json`, what was found inside the image by digest.

A record is made before its image exists, so what the image really holds is a second piece of evidence, bound to both
by their digests. The release walk scans between image and slot; `mlp promote` commits the result; a stack that builds
nothing asks for it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ml.errors import GateError
from ml.release.record import canonical_bytes, digest_of, parse, seal
from ml.release.store import IMAGES, Release
from ml.security.result import Scan
from ml.security.run import unanswered

SCHEMA = "ml-pipeline/image/v1"
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


def judged(release: Release, image: str, scans: Mapping[str, Scan], now: datetime) -> ImageEvidence:
    """What a look into the image gave, as evidence, if the image may run.

    Raises:
        GateError: If it must not, naming everything that was found.
    """
    evidence = ImageEvidence(
        release=release.id,
        record_digest=release.digest,
        image=image,
        scanned_at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        scans=scans,
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


def write(release: Release, evidence: ImageEvidence) -> Path:
    """Put the evidence beside the record."""
    path = path_of(release, evidence.image)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(evidence.to_bytes())
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
    verdicts = {name: scan.get("verdict") for name, scan in scans.items() if isinstance(scan, dict)}
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
    refuse(release, image, parse(raw), raw)


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
    bad = [
        f"scan {name} is {scans[name].verdict}: {scans[name].reason}; {', '.join(scans[name].findings[:5])}".rstrip(
            "; "
        )
        for name in unanswered(scans, release.record["gate"]["policy"], day)
    ]
    return [*missing, *others, *bad]
