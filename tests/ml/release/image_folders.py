"""Evidence of a made-up image, for tests of what reads it."""

from dataclasses import replace
from typing import Any

from ml.release.images import ImageEvidence, write
from ml.release.store import Release
from ml.security.result import Scan, Verdict
from tests.ml.release.signing import SIGNER, trust

LOOKED = "2026-01-31T12:00:00Z"
IMAGE = f"127.0.0.1:5000/ml-pipeline/serving@sha256:{'a' * 64}"


def accept_unjudged_debian(fields: dict[str, Any]) -> None:
    """The policy of a release under which an image may hold Debian packages that nobody has advisories for."""
    about = {"rule": "scan", "of": "image-debian", "owner": "platform team"}
    fields["gate"]["policy"]["waivers"].append({**about, "reason": "closed network", "expires": "2099-12-31"})


def scans(image: str = IMAGE, **verdicts: Verdict) -> dict[str, Scan]:
    """What a scan of an image finds; a verdict by name, dashes as underscores, changes it."""
    usual: dict[str, Verdict] = {"image_python": "pass", "image_debian": "incomplete"}
    return {
        name.replace("_", "-"): Scan(
            tool="ml.security",
            version="0.1.0",
            subject=image,
            subject_sha256=image.rpartition(":")[2],
            covered=3,
            total=3,
            verdict=verdict,
            reason="made up",
        )
        for name, verdict in {**usual, **verdicts}.items()
    }


def evidence(release: Release, image: str = IMAGE, **verdicts: Verdict) -> ImageEvidence:
    return ImageEvidence(
        release=release.id,
        record_digest=release.digest,
        image=image,
        scanned_at=LOOKED,
        scans={name: replace(scan, scanned_at=LOOKED) for name, scan in scans(image, **verdicts).items()},
    )


def prove(release: Release, image: str = IMAGE) -> None:
    """Write evidence that holds beside the record, signed by a key that the checkout trusts."""
    write(release, evidence(release, image), SIGNER)
    trust(release.directory.parents[1])
