"""Who may take the traffic from whom: only what was judged against it, by a chain of committed records."""

import shutil
from pathlib import Path

import pytest

from ml.errors import GateError
from ml.release import store, succession
from tests.ml.release.folders import write_release
from tests.ml.release.signing import trust, trusted_key


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """flights-0001 ← 0002 ← 0003 ← 0004, each judged against the one before."""
    for number in (1, 2, 3, 4):
        write_release(tmp_path, f"flights-000{number}")
    return tmp_path


def judged_against(root: Path, release_id: str, champion: str | None, digest: str | None = None) -> store.Release:
    def change(fields: dict) -> None:
        found = digest or (store.load(root, champion).digest if champion else None)
        fields["champion"] = {**fields["champion"], "release": champion, "digest": found} if champion else None

    write_release(root, release_id, change)
    return store.verify(root, release_id)


def refused(root: Path, live: str, idle: str) -> bool:
    return succession.problem(root, store.verify(root, live), store.verify(root, idle)) is not None


def test_a_release_takes_the_traffic_from_its_champion_and_gives_it_back(root: Path) -> None:
    assert not refused(root, "flights-0002", "flights-0001")
    assert not refused(root, "flights-0001", "flights-0002")
    assert not refused(root, "flights-0002", "flights-0002")


def test_production_may_skip_releases_of_the_chain(root: Path) -> None:
    assert not refused(root, "flights-0004", "flights-0001")
    assert not refused(root, "flights-0001", "flights-0004")


def test_a_release_judged_against_a_weaker_one_than_is_live_is_refused(root: Path) -> None:
    judged_against(root, "flights-0005", "flights-0001")

    assert refused(root, "flights-0005", "flights-0004")
    assert not refused(root, "flights-0005", "flights-0001"), "control: its own champion it may replace"


def test_a_release_judged_against_none_takes_the_traffic_from_none(root: Path) -> None:
    judged_against(root, "flights-0005", None)

    assert refused(root, "flights-0005", "flights-0004")


def test_a_champion_under_the_right_name_with_another_digest_is_refused(root: Path) -> None:
    """Somebody made a weaker release of the same id, judged against that, and restored the real one."""
    judged_against(root, "flights-0005", "flights-0004", digest="d" * 64)

    assert refused(root, "flights-0005", "flights-0004")


@pytest.mark.parametrize("spoil", ["missing", "edited", "unsigned"])
def test_a_chain_with_a_record_that_does_not_verify_leads_nowhere(root: Path, spoil: str) -> None:
    between = root / "releases/flights-0003"
    if spoil == "missing":
        shutil.rmtree(between)
    elif spoil == "edited":
        (between / "model.onnx").write_bytes(b"other")
    else:
        (between / "record.dsse.json").unlink()

    assert refused(root, "flights-0004", "flights-0001")
    assert not refused(root, "flights-0002", "flights-0001"), "control"


def test_the_refusal_names_both_and_the_command_that_helps(root: Path) -> None:
    live = judged_against(root, "flights-0005", "flights-0001")

    with pytest.raises(GateError, match=r"(?s)ML-REL-140: flights-0005 was judged against flights-0001.*flights-0004"):
        succession.require(root, live, store.verify(root, "flights-0004"))
    with pytest.raises(GateError, match="mlp release create --champion flights-0004"):
        succession.require(root, live, store.verify(root, "flights-0004"))


def test_records_that_name_each_other_end_the_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No digest can be in its own preimage, so such records do not exist; a walk that relied on it would hang."""
    write_release(tmp_path, "flights-0001")
    first = store.verify(tmp_path, "flights-0001")
    other = judged_against(tmp_path, "flights-0002", "flights-0001")
    looping = store.Release(id=first.id, directory=first.directory, raw=first.raw,
                            record={**first.record, "champion": {"release": other.id, "digest": "d" * 64}})  # fmt: skip
    monkeypatch.setattr(succession, "verify", lambda root, release_id: looping)

    assert succession.problem(tmp_path, looping, judged_against(tmp_path, "iris-0001", None))


def test_a_revoked_key_breaks_the_chain(root: Path) -> None:
    releases = store.verify(root, "flights-0004"), store.verify(root, "flights-0001")
    trust(root, trusted_key(revoked_at="2026-01-01T00:00:00Z", revoked_because="lost"))

    assert succession.problem(root, *releases)
