"""A state that is damaged in every way that a disk knows, and the copy that takes its place."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from infra import names
from ml.errors import SurroundingsError, UsageError
from toolchain.checkpoints import PROJECT, Checkpoints, local, of, problem

URN = "urn:pulumi:staging::ml-pipeline::pulumi:pulumi:Stack::ml-pipeline-staging"


def state(resources: int = 2) -> bytes:
    found = [{"urn": URN, "type": "pulumi:pulumi:Stack"}]
    found += [{"urn": f"{URN}-{n}", "type": "kubernetes:core/v1:Service", "parent": URN} for n in range(resources)]
    return json.dumps({"version": 3, "checkpoint": {"stack": "staging", "latest": {"resources": found}}}).encode()


@pytest.fixture
def files(tmp_path: Path) -> Checkpoints:
    files = Checkpoints(backend=tmp_path, stack="staging")
    history = tmp_path / ".pulumi" / "history" / "ml-pipeline" / "staging"
    for folder in (files.current.parent, history):
        folder.mkdir(parents=True)
    for number, (path, content) in enumerate(
        [
            (history / "staging-1.checkpoint.json", state(1)),
            (files.current.with_name("staging.json.bak"), state(2)),
            (history / "staging-2.checkpoint.json", state(3)),
        ]
    ):
        path.write_bytes(content)
        os.utime(path, (number, number))
    files.current.write_bytes(state(3))
    return files


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "a brace": lambda content: content.replace(b"{", b"z", 1),
    "a key": lambda content: content.replace(b'"urn"', b'"uro"', 1),
    "another file": lambda _: b'{"version": 3}',
    "a list": lambda _: b"[]",
    "no parent": lambda content: content.replace(b'"urn": "urn:pulumi', b'"urn": "urn:pulumj', 1),
}


def test_the_project_is_that_of_the_program() -> None:
    assert names.PROJECT == PROJECT


def test_a_whole_state_and_that_of_a_new_stack_have_no_problem() -> None:
    assert problem(state()) == ""
    assert problem(b'{"version": 3, "checkpoint": {"stack": "staging"}}') == ""


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_is_refused_and_the_newest_whole_copy_takes_its_place(
    files: Checkpoints, damage: Callable[[bytes], bytes]
) -> None:
    files.require_whole()
    broken = damage(files.current.read_bytes())
    files.current.write_bytes(broken)

    with pytest.raises(SurroundingsError, match=r"stack staging .* is damaged") as refused:
        files.require_whole()
    taken = files.restore()

    assert refused.value.code == "ML-HOST-017"
    assert "mlp state restore --stack staging" in str(refused.value)
    assert taken.resources == 4
    assert files.current.read_bytes() == state(3)
    [kept] = files.current.parent.glob("staging.json.damaged-*")
    assert kept.read_bytes() == broken
    files.require_whole()


def test_a_copy_that_is_damaged_as_well_is_passed_over(files: Checkpoints) -> None:
    files.current.write_bytes(b"")
    newest = files.copies()[0].path
    newest.write_bytes(b"{")

    assert files.restore().resources == 3


def test_without_a_whole_copy_nothing_is_touched(files: Checkpoints) -> None:
    files.current.write_bytes(b"")
    for one in files.copies():
        one.path.write_bytes(b"")

    with pytest.raises(SurroundingsError, match="no whole copy of its state among 3"):
        files.restore()

    assert files.current.read_bytes() == b""


def test_a_whole_state_is_never_replaced(files: Checkpoints) -> None:
    with pytest.raises(UsageError, match="nothing to restore"):
        files.restore()


def test_another_kind_of_backend_keeps_its_own_versions() -> None:
    assert of({"PULUMI_BACKEND_URL": "s3://bucket"}, "staging") is None
    with pytest.raises(UsageError, match="its store keeps versions of its own"):
        local({"PULUMI_BACKEND_URL": "s3://bucket"}, "staging")
