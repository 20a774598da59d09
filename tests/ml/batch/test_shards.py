"""A run over shards in one process: who does what, what a kill leaves, what is refused."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.batch import __main__ as worker_command
from ml.batch import source as sources
from ml.batch.gather import read_summary
from ml.batch.shards import Format, shard_rows
from ml.batch.worker import open_run, predict_shard
from ml.data import atomic
from ml.errors import PipelineError, UsageError
from ml.serving.bundle import Bundle
from tests.ml.batch.runs import a_run, outcome, work, write_input
from tests.ml.serving.releases import make_release


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours runs after it."""


@given(rows=st.integers(0, 10_000), shards=st.integers(1, 200))
def test_shards_tile_the_file_and_differ_by_one_row_at_most(rows: int, shards: int) -> None:
    ranges = shard_rows(rows, shards)

    assert len(ranges) == shards
    assert [number for part in ranges for number in part] == list(range(1, rows + 1))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


@pytest.mark.parametrize("name", ["in.parquet", "in.csv"])
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_every_row_is_in_one_part_under_its_number_in_the_file(
    tmp_path: Path, bundle: Bundle, name: str, form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "CSV_BLOCK_BYTES", 256)
    monkeypatch.setattr(sources, "CHUNK_ROWS", 5)
    run = a_run(write_input(tmp_path / name, 50, {3, 27, 50}), tmp_path / "out", bundle, 4, format=form)

    summaries = [work(run, index) for index in (2, 0, 3, 1)]

    done, dead = outcome(tmp_path / "out")
    assert done == {number: f"id-{number}" for number in range(1, 51) if number not in {3, 27, 50}}
    assert set(dead) == {3, 27, 50}
    assert summaries[:3] == [None, None, None], "only the last worker sees all receipts"
    assert summaries[3] == read_summary(tmp_path / "out")
    assert (summaries[3].rows, summaries[3].predicted, summaries[3].dead) == (50, 47, 3)


def test_rejected_lines_of_a_csv_go_to_the_shard_of_their_number(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "CSV_BLOCK_BYTES", 64)
    lines = [f"id-{n},100,AA\n" if n % 5 == 0 else f"id-{n},100,AA,5\n" for n in range(1, 61)]
    (tmp_path / "in.csv").write_text("id,distance,carrier,gust\n" + "".join(lines))
    run = a_run(tmp_path / "in.csv", tmp_path / "out", bundle, 6)

    for index in range(6):
        work(run, index)

    done, dead = outcome(tmp_path / "out")
    assert sorted(dead) == list(range(5, 61, 5))
    assert all(identifier == f"id-{number}" for number, identifier in done.items())
    for path in (tmp_path / "out" / "_dead").glob("*.jsonl"):
        rows = shard_rows(60, 6)[int(path.name[5:10])]
        assert {json.loads(line)["row"] for line in path.read_text().splitlines()} <= set(rows)


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A list of one number: how many more times something is made durable before the process dies; below 0: never.

    The hard way: temporary files stay where they are.
    """
    left = [-1]
    fsync = atomic.os.fsync

    def durable(descriptor: int) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise Killed
        fsync(descriptor)

    monkeypatch.setattr(atomic.os, "fsync", durable)
    monkeypatch.setattr(atomic.AtomicFile, "__exit__", lambda self, *_: self.handle.close())
    yield left
    left[0] = -1


# Rows, dead ones, the order of the shards, and for each try how many times something is made durable before its kill.
CASES = st.tuples(
    st.integers(1, 30),
    st.sets(st.integers(1, 30)),
    st.integers(1, 4).flatmap(lambda shards: st.permutations(range(shards))),
    st.lists(st.integers(0, 8), max_size=6),
)


@pytest.mark.integration  # seconds of fsync
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=CASES)
def test_whatever_moments_workers_are_killed_at_every_row_ends_in_one_place(
    tmp_path_factory: pytest.TempPathFactory,
    bundle: Bundle,
    kill: list[int],
    case: tuple[int, set[int], list[int], list[int]],
) -> None:
    rows, poison = case[:2]
    waiting, kills = list(case[2]), list(case[3])
    shards = len(waiting)
    folder = tmp_path_factory.mktemp("run")
    run = a_run(write_input(folder / "in.parquet", rows, poison), folder / "out", bundle, shards)

    while waiting:
        index = waiting.pop(0)
        kill[0] = kills.pop() if kills else -1
        try:
            work(run, index)
        except Killed:
            waiting.append(index)  # as Kubernetes does

    kill[0] = -1
    done, dead = outcome(folder / "out")
    assert sorted([*done, *dead]) == list(range(1, rows + 1))
    assert set(dead) == {number for number in poison if number <= rows}
    summary = read_summary(folder / "out")
    assert summary is not None
    assert (summary.rows, summary.dead) == (rows, len(dead))
    assert not list((folder / "out").glob(".part-*.tmp"))


def test_a_shard_that_is_done_is_not_done_again(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(write_input(tmp_path / "in.parquet", 20), tmp_path / "out", bundle, 2)
    first = predict_shard(open_run(run), 0)
    before = (tmp_path / "out/part-00000-of-00002.parquet").stat()

    monkeypatch.setattr("ml.batch.worker.predict_rows", lambda *_: pytest.fail("predicted again"))
    again = predict_shard(open_run(run), 0)

    after = (tmp_path / "out/part-00000-of-00002.parquet").stat()
    assert again == first
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_more_shards_than_rows_leave_empty_parts(tmp_path: Path, bundle: Bundle) -> None:
    for form in ("parquet", "csv"):
        run = a_run(write_input(tmp_path / "in.parquet", 2), tmp_path / form, bundle, 5, format=form)
        for index in range(5):
            summary = work(run, index)
        done, _ = outcome(tmp_path / form)
        assert done == {1: "id-1", 2: "id-2"}
        assert summary is not None


CHANGES: dict[str, Any] = {
    "shards": lambda run, _: replace(run, shards=3),
    "format": lambda run, _: replace(run, format="csv"),
    "keep": lambda run, _: replace(run, keep=()),
    "release": lambda run, _: replace(run, bundle=replace(run.bundle, release="delay-0002")),
    "record": lambda run, _: replace(run, bundle=replace(run.bundle, record={"digest": "f" * 64})),
    "rows": lambda run, folder: replace(run, source=write_input(folder / "other.parquet", 21)),
    "content": lambda run, folder: replace(run, source=write_input(folder / "other.parquet", 20, {1})),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_run_in_the_same_folder_is_refused_and_both_are_named(
    tmp_path: Path, bundle: Bundle, change: str
) -> None:
    run = a_run(write_input(tmp_path / "in.parquet", 20), tmp_path / "out", bundle, 2)
    work(run, 0)
    kept = sorted(path.name for path in (tmp_path / "out").rglob("*"))

    with pytest.raises(UsageError, match=r"(?s)ML-BATCH-008.*there: delay-0001.*asked: delay-000") as caught:
        open_run(CHANGES[change](run, tmp_path))

    there, asked = str(caught.value).splitlines()[1:3]
    assert there.removeprefix("  there: ") != asked.removeprefix("  asked: ")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == kept


def test_a_csv_of_the_same_size_with_other_content_is_another_run(tmp_path: Path, bundle: Bundle) -> None:
    source = write_input(tmp_path / "in.csv", 20)
    run = a_run(source, tmp_path / "out", bundle, 2)
    work(run, 0)
    source.write_text(source.read_text().replace("id-7", "id-8"))

    with pytest.raises(UsageError, match="ML-BATCH-008"):
        open_run(run)


def test_an_input_without_rows_or_a_folder_that_is_a_file_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    empty = a_run(write_input(tmp_path / "empty.parquet", 0), tmp_path / "out", bundle, 2)
    (tmp_path / "file").write_text("")
    blocked = a_run(write_input(tmp_path / "in.parquet", 3), tmp_path / "file", bundle, 2)

    for run, code in ((empty, "ML-BATCH-001"), (blocked, "ML-BATCH-005")):
        with pytest.raises(PipelineError) as caught:
            open_run(run)
        assert caught.value.code == code


def test_a_shard_whose_dead_letters_cannot_be_written_leaves_neither_a_part_nor_a_receipt(
    tmp_path: Path, bundle: Bundle
) -> None:
    run = a_run(write_input(tmp_path / "in.parquet", 20, {2}), tmp_path / "out", bundle, 2)
    opened = open_run(run)
    letters = tmp_path / "out" / "_dead"
    letters.rmdir()
    letters.write_text("a file where the folder should be")

    with pytest.raises(PipelineError, match=f"ML-BATCH-005: {letters}/"):
        predict_shard(opened, 0)
    assert not [path for path in (tmp_path / "out").rglob("*part-*") if path.suffix != ".lock"]

    letters.unlink()
    summary = [work(run, index) for index in range(2)][-1]
    assert summary is not None
    assert (summary.predicted, summary.dead) == (19, 1)


def test_the_command_takes_its_shard_from_kubernetes_and_leaves_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_release(tmp_path / "release", "binary")
    write_input(tmp_path / "in.csv", 9, {2})
    arguments = [
        *("--run", "june", "--release-dir", str(tmp_path / "release"), "--input", str(tmp_path / "in.csv")),
        *("--output", str(tmp_path / "out"), "--shards", "2", "--keep", "id", "--max-dead-share", "0.5", "--wait"),
        *("--result", str(tmp_path / "message")),
    ]

    codes = []
    for index in ("0", "1", "2"):
        monkeypatch.setenv(worker_command.INDEX, index)
        codes.append(worker_command.main(arguments))

    assert codes == [0, 0, UsageError.exit_code]
    assert json.loads((tmp_path / "message").read_text()) == {
        "run": "june",
        "rows": 9,
        "predicted": 8,
        "dead": 1,
        "shards": 2,
    }
    captured = capsys.readouterr()
    assert '"event": "run_complete"' in captured.out
    assert "ML-BATCH-010" in captured.err
