import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml.errors import GateError, PipelineError, UsageError
from ml.release import store
from tests.ml.release.folders import write_release
from tests.ml.release.signing import signer, trust, trusted_key


def test_a_good_release_verifies(tmp_path: Path) -> None:
    directory = write_release(tmp_path, "flights-0001")

    release = store.verify(tmp_path, "flights-0001")

    assert (release.id, release.directory) == ("flights-0001", directory)
    assert release.digest == release.record["digest"]


def _edit_a_byte(directory: Path) -> None:
    path = directory / "record.json"
    path.write_bytes(path.read_bytes().replace(b'"accuracy": 0.8', b'"accuracy": 0.9', 1))


def _swap_model(directory: Path) -> None:
    (directory / "model.onnx").write_bytes(b"another model")


def _swap_record(directory: Path) -> None:
    other = write_release(directory.parent.parent, "flights-0002", model=b"model")
    (directory / "record.json").write_bytes((other / "record.json").read_bytes())


SPOILED = {
    "edited record": (_edit_a_byte, "ML-REL-103"),
    "another model": (_swap_model, "ML-REL-121"),
    "no model": (lambda d: (d / "model.onnx").unlink(), "ML-REL-120"),
    "no serving.json": (lambda d: (d / "serving.json").unlink(), "ML-REL-120"),
    "another release's record": (_swap_record, "ML-REL-122"),
    "a file that nobody judged": (lambda d: (d / "extra.json").write_bytes(b"{}"), "ML-REL-123"),
    "a folder": (lambda d: (d / "more").mkdir(), "ML-REL-123"),
    "no signature": (lambda d: (d / "record.dsse.json").unlink(), "ML-REL-130"),
    "an empty signature": (lambda d: (d / "record.dsse.json").write_bytes(b""), "ML-REL-131"),
    "a key that is none": (lambda d: (d.parent / "keys/a.json").write_bytes(b"{}"), "ML-REL-138"),
    "no trusted key": (lambda d: shutil.rmtree(d.parent / "keys"), "ML-REL-132"),
    "an empty record": (lambda d: (d / "record.json").write_bytes(b""), "ML-REL-101"),
}


@pytest.mark.parametrize(("spoil", "code"), SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_release_is_refused_for_its_own_reason(
    tmp_path: Path, spoil: Callable[[Path], None], code: str
) -> None:
    spoil(write_release(tmp_path, "flights-0001"))

    with pytest.raises(GateError) as refused:
        store.verify(tmp_path, "flights-0001")

    assert refused.value.code == "ML-REL-002"
    assert refused.value.exit_code == 3
    assert code in str(refused.value)
    assert not store.is_trustworthy(tmp_path, "flights-0001")


def test_a_release_that_failed_is_refused_but_may_be_shown(tmp_path: Path) -> None:
    write_release(tmp_path, "flights-0001", lambda r: r["metrics"].update(accuracy="NaN"))

    with pytest.raises(GateError, match="ML-REL-110"):
        store.verify(tmp_path, "flights-0001")
    assert store.is_trustworthy(tmp_path, "flights-0001")


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    directory = write_release(tmp_path, "flights-0001")
    _edit_a_byte(directory)
    _swap_model(directory)
    (directory / "serving.json").unlink()

    found = {problem.code for problem in store.inspect(tmp_path, "flights-0001")}

    assert found >= {"ML-REL-103", "ML-REL-120", "ML-REL-121"}


@pytest.mark.parametrize(
    "release_id", ["", "flights", "flights-1", "../x-0001", "Flights-0001", "flights-0000", "a/b-0001"]
)
def test_a_malformed_id_never_becomes_a_path(tmp_path: Path, release_id: str) -> None:
    with pytest.raises(UsageError) as refused:
        store.load(tmp_path, release_id)

    assert refused.value.code == "ML-REL-003"


def test_an_unknown_release_names_those_that_exist(tmp_path: Path) -> None:
    write_release(tmp_path, "flights-0001")

    with pytest.raises(UsageError, match="flights-0001"):
        store.load(tmp_path, "flights-0002")


def test_ids_count_up_per_problem_and_are_never_used_twice(tmp_path: Path) -> None:
    assert store.next_id(tmp_path, "flights") == "flights-0001"
    write_release(tmp_path, "flights-0001")
    (tmp_path / "releases" / "flights-0007").mkdir()  # a release whose record was lost
    write_release(tmp_path, "iris-0003")

    assert store.next_id(tmp_path, "flights") == "flights-0008"
    assert store.next_id(tmp_path, "iris") == "iris-0004"
    assert store.list_ids(tmp_path) == ["flights-0001", "iris-0003"]


def test_a_problem_whose_name_cannot_begin_an_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError):
        store.next_id(tmp_path, "My Problem")


def test_a_file_that_the_record_names_is_part_of_the_release(tmp_path: Path) -> None:
    directory = write_release(tmp_path, "flights-0001", more={"evaluation.json": b"{}"})
    (directory / "report.html").write_text("a view of the record, not evidence")
    assert store.inspect(tmp_path, "flights-0001") == []

    (directory / "evaluation.json").write_bytes(b"[]")
    assert [problem.code for problem in store.inspect(tmp_path, "flights-0001")] == ["ML-REL-121"]
    (directory / "evaluation.json").unlink()
    assert [problem.code for problem in store.inspect(tmp_path, "flights-0001")] == ["ML-REL-120"]


def test_a_named_file_is_never_a_path_out_of_the_release(tmp_path: Path) -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["files"]["../keys/a.json"] = "a" * 64

    write_release(tmp_path, "flights-0001", change)

    assert [problem.code for problem in store.inspect(tmp_path, "flights-0001")] == ["ML-REL-106"]


def test_a_release_whose_key_was_revoked_can_be_signed_again(tmp_path: Path) -> None:
    directory = write_release(tmp_path, "flights-0001")
    trust(tmp_path, trusted_key(revoked_at="2026-01-01T00:00:00Z", revoked_because="lost"))
    other = signer(2)
    trust(tmp_path, trusted_key(other))
    with pytest.raises(GateError, match="ML-REL-134"):
        store.verify(tmp_path, "flights-0001")

    store.sign_again(tmp_path, "flights-0001", other)

    assert store.verify(tmp_path, "flights-0001").directory == directory


def test_a_release_that_was_changed_is_not_signed_again(tmp_path: Path) -> None:
    directory = write_release(tmp_path, "flights-0001")
    _swap_model(directory)
    before = (directory / "record.dsse.json").read_bytes()

    with pytest.raises(GateError, match="ML-REL-121"):
        store.sign_again(tmp_path, "flights-0001", signer(2))
    assert (directory / "record.dsse.json").read_bytes() == before
