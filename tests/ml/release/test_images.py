"""The evidence of an image is bound to its release and its digest, and says what was found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml.errors import GateError
from ml.release import images, store
from ml.release.record import canonical_bytes, seal
from tests.ml.release.folders import write_release
from tests.ml.release.image_folders import IMAGE, accept_unjudged_debian, evidence, prove

OTHER = IMAGE.replace("a" * 64, "b" * 64)


@pytest.fixture
def release(tmp_path: Path) -> store.Release:
    write_release(tmp_path, "flights-0001", accept_unjudged_debian)
    return store.verify(tmp_path, "flights-0001")


def refused(release: store.Release, image: str = IMAGE) -> GateError:
    with pytest.raises(GateError) as caught:
        images.refuse_committed(release, image)
    return caught.value


def spoil(release: store.Release, change: Callable[[dict[str, Any]], None], *, seal_again: bool) -> None:
    path = images.path_of(release, IMAGE)
    fields = json.loads(path.read_bytes())
    change(fields)
    if seal_again:
        fields = seal({key: value for key, value in fields.items() if key != "digest"})
    path.write_bytes(canonical_bytes(fields))


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
    ],
)
def test_anything_else_than_what_was_found_is_refused(
    release: store.Release, change: Callable[[dict[str, Any]], None], *, seal_again: bool, words: str
) -> None:
    prove(release)
    images.refuse_committed(release, IMAGE)

    spoil(release, change, seal_again=seal_again)

    assert words in str(refused(release))


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

    images.write(release, evidence(release, image_python="fail"))

    assert not images.scanned_on(release, IMAGE, "2026-01-31")
