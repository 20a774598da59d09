"""The evidence of an image is bound to its release and its digest, and says what was found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml.errors import GateError
from ml.release import envelope, images, store
from ml.release.keys import Trusted
from ml.release.record import canonical_bytes, seal
from tests.ml.release.folders import write_release
from tests.ml.release.image_folders import IMAGE, accept_unjudged_debian, evidence, prove
from tests.ml.release.signing import SIGNER, signer, trust, trusted_key

OTHER = IMAGE.replace("a" * 64, "b" * 64)


@pytest.fixture
def release(tmp_path: Path) -> store.Release:
    write_release(tmp_path, "flights-0001", accept_unjudged_debian)
    return store.verify(tmp_path, "flights-0001")


def refused(release: store.Release, image: str = IMAGE) -> GateError:
    with pytest.raises(GateError) as caught:
        images.refuse_committed(release, image)
    return caught.value


def spoil(
    release: store.Release, change: Callable[[dict[str, Any]], None], *, seal_again: bool = True, by: Any = SIGNER
) -> None:
    """Edit the evidence as somebody who holds this key could; None leaves the signature as it was."""
    path = images.path_of(release, IMAGE)
    fields = json.loads(path.read_bytes())
    change(fields)
    if seal_again:
        fields = seal({key: value for key, value in fields.items() if key != "digest"})
    raw = canonical_bytes(fields)
    path.write_bytes(raw)
    if by is not None:
        images.signature_of(release, IMAGE).write_bytes(envelope.sealed(images._statement(raw, fields), by))


def test_evidence_that_holds_lets_its_image_through_and_no_other(release: store.Release) -> None:
    prove(release)

    images.refuse_committed(release, IMAGE)
    assert refused(release, OTHER).code == "ML-SCAN-003"


def test_an_image_that_nobody_scanned_or_named_by_digest_is_refused(release: store.Release) -> None:
    assert refused(release).code == "ML-SCAN-003"
    assert "must be named by digest" in str(refused(release, "serving:latest"))


@pytest.mark.parametrize(
    ("change", "seal_again", "words"),
    [
        (lambda f: f.update(scanned_at="2026-02-01T00:00:00Z"), False, "changed since it was sealed"),
        (lambda f: f.update(release="flights-0002"), True, "release is 'flights-0002', must be 'flights-0001'"),
        (lambda f: f.update(record_digest="0" * 64), True, "record_digest is"),
        (lambda f: f.update(image=OTHER), True, "image is"),
        (lambda f: f["scans"].pop("image-python"), True, "scan image-python is missing"),
        (lambda f: f["scans"]["image-python"].update(verdict="fail"), True, "scan image-python is fail"),
        (lambda f: f["scans"]["image-python"].update(subject=OTHER), True, "is about"),
        (lambda f: f.update(scans=[]), True, "cannot be read"),
        (lambda f: f.update(scanned_at="2100-01-01T00:00:00Z"), True, "scan image-debian is incomplete"),
        (lambda f: f.update(scanned_at="2026-02-01T12:00:01Z"), True, "must be at most 24 h before"),
        (lambda f: f["scans"]["image-debian"].update(scanned_at="2026-01-31T12:00:01Z"), True, "was made at"),
        (lambda f: f["scans"]["image-debian"].pop("scanned_at"), True, "was made at None"),
    ],
)
def test_anything_else_than_what_was_found_is_refused(
    release: store.Release, change: Callable[[dict[str, Any]], None], *, seal_again: bool, words: str
) -> None:
    prove(release)
    images.refuse_committed(release, IMAGE)

    spoil(release, change, seal_again=seal_again)

    assert words in str(refused(release))


def _nothing(fields: dict[str, Any]) -> None:
    """Only the signature is made anew."""


def _later(fields: dict[str, Any]) -> None:
    fields["scans"]["image-debian"]["reason"] = "looks fine"


SIGNATURES: dict[str, tuple[Callable[[store.Release], object], str, str]] = {
    "none": (lambda r: images.signature_of(r, IMAGE).unlink(), "ML-SCAN-005", "ML-REL-130"),
    "no envelope": (lambda r: images.signature_of(r, IMAGE).write_bytes(b"{}"), "ML-SCAN-006", "ML-REL-131"),
    "by a key of one's own": (lambda r: spoil(r, _nothing, by=signer(2)), "ML-SCAN-006", "ML-REL-132"),
    "of other evidence": (lambda r: spoil(r, _later, by=None), "ML-SCAN-006", "ML-REL-136"),
    "the record's": (
        lambda r: images.signature_of(r, IMAGE).write_bytes(r.signature or b""),
        "ML-SCAN-006",
        "ML-REL-139",
    ),
    "by a revoked key": (
        lambda r: trust(r.directory.parents[1], trusted_key(revoked_at="2026-02-01T00:00:00Z", revoked_because="lost")),
        "ML-SCAN-006",
        "ML-REL-134",
    ),
    "by a key that had expired": (
        lambda r: trust(r.directory.parents[1], trusted_key(expires="2026-01-31T11:59:59Z")),
        "ML-SCAN-006",
        "ML-REL-135",
    ),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_evidence_without_the_signature_of_somebody_trusted_is_refused(release: store.Release, case: str) -> None:
    spoiled, code, because = SIGNATURES[case]
    prove(release)
    spoiled(release)

    error = refused(release)

    assert (error.code, because in str(error), "mlp keys create" in str(error)) == (code, True, True)
    assert not images.scanned_on(release, IMAGE, "2026-01-31")


def test_evidence_that_is_moved_to_another_image_or_release_is_refused(release: store.Release) -> None:
    prove(release)
    for path in (images.path_of, images.signature_of):
        path(release, OTHER).write_bytes(path(release, IMAGE).read_bytes())

    assert "image is" in str(refused(release, OTHER))


def test_evidence_is_proven_by_the_bytes_alone_whatever_stands_in_them(release: store.Release) -> None:
    prove(release)
    path = images.path_of(release, IMAGE)

    for raw in (b"", b"[]", b"{}", path.read_bytes() + b" "):
        with pytest.raises(GateError, match="ML-SCAN-006"):
            images.refuse_unsigned(release, IMAGE, raw, Trusted(keys={SIGNER.public_key.keyid: trusted_key()}))


def test_an_incomplete_scan_needs_an_exception_of_the_releases_own_policy(tmp_path: Path) -> None:
    write_release(tmp_path, "flights-0002")
    strict = store.verify(tmp_path, "flights-0002")
    prove(strict)

    assert "scan image-debian is incomplete" in str(refused(strict))


def test_evidence_is_fresh_only_on_its_day_and_while_it_holds(release: store.Release) -> None:
    assert not images.scanned_on(release, IMAGE, "2026-01-31")
    prove(release)
    assert images.scanned_on(release, IMAGE, "2026-01-31")
    assert not images.scanned_on(release, IMAGE, "2026-02-01")

    images.write(release, evidence(release, image_python="fail"), SIGNER)

    assert not images.scanned_on(release, IMAGE, "2026-01-31")
