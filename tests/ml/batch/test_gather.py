"""What makes a run complete, and every way in which it is not."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.batch.gather import SUMMARY, gather
from ml.batch.worker import Opened, file_sha256, open_run, predict_shard
from ml.errors import DataError
from ml.serving.bundle import Bundle
from tests.ml.batch.runs import a_run, outcome, work, write_input


def test_too_many_dead_rows_of_the_whole_run_leave_no_summary_and_a_shard_full_of_them_does_not_fail(
    tmp_path: Path, bundle: Bundle
) -> None:
    poison = set(range(1, 11))
    run = a_run(write_input(tmp_path / "in.parquet", 20, poison), tmp_path / "out", bundle, 2)

    assert work(run, 0, max_dead_share=0.4) is None
    with pytest.raises(DataError, match=r"ML-BATCH-003: 10 of 20 rows.*40\.0%"):
        work(run, 1, max_dead_share=0.4)

    assert not (tmp_path / "out" / SUMMARY).exists()
    assert set(outcome(tmp_path / "out")[1]) == poison
    assert work(run, 1, max_dead_share=0.5) is not None


def complete(tmp_path: Path, bundle: Bundle) -> tuple[Opened, Path]:
    """A run of two shards, ready to be gathered."""
    run = a_run(write_input(tmp_path / "in.parquet", 20, {4}), tmp_path / "out", bundle, 2)
    for index in range(2):
        predict_shard(open_run(run), index)
    return open_run(run), tmp_path / "out"


def receipt(folder: Path, index: int, **changes: Any) -> None:
    path = folder / f"_receipts/part-{index:05d}-of-00002.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def retold(folder: Path, rows: list[int]) -> None:
    """Another part 1 with these rows, and a receipt that names it: only its numbers can tell."""
    part = folder / "part-00001-of-00002.parquet"
    table = pq.read_table(part)
    pq.write_table(table.slice(0, len(rows)).set_column(0, "row", pa.array(rows, pa.int64())), part)
    receipt(folder, 1, sha256=file_sha256(part))


FAULTS: dict[str, Any] = {
    "a part that has changed": lambda folder: (folder / "part-00000-of-00002.parquet").write_bytes(b"other"),
    "a part that is gone": lambda folder: (folder / "part-00000-of-00002.parquet").unlink(),
    "dead letters that are gone": lambda folder: (folder / "_dead/part-00000-of-00002.jsonl").unlink(),
    "ranges that overlap": lambda folder: receipt(folder, 1, first=10),
    "counts that do not add up": lambda folder: receipt(folder, 0, predicted=10),
    "a row that stands twice": lambda folder: retold(folder, [11, *range(11, 20)]),
    "a row that is missing": lambda folder: retold(folder, list(range(11, 20))),
    "a row of another shard": lambda folder: retold(folder, [4, *range(12, 21)]),
    "a part of no receipt": lambda folder: (folder / "part-00007-of-00008.parquet").write_bytes(b""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_that_is_not_whole_gets_no_summary(tmp_path: Path, bundle: Bundle, fault: str) -> None:
    opened, folder = complete(tmp_path, bundle)
    FAULTS[fault](folder)

    with pytest.raises(DataError, match="ML-BATCH-009"):
        gather(opened, 1.0)

    assert not (folder / SUMMARY).exists()


def test_control_the_same_run_without_a_fault_is_complete(tmp_path: Path, bundle: Bundle) -> None:
    opened, folder = complete(tmp_path, bundle)
    retold(folder, list(range(11, 21)))

    assert gather(opened, 1.0) is not None


def test_a_receipt_that_is_missing_is_waited_for(tmp_path: Path, bundle: Bundle) -> None:
    opened, folder = complete(tmp_path, bundle)
    (folder / "_receipts/part-00001-of-00002.json").unlink()

    assert gather(opened, 1.0) is None
