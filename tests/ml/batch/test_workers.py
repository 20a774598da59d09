"""The whole year through real worker processes: one is killed in the middle, and one row of each shard is poison."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from ml.batch.gather import read_summary
from ml.batch.run import Options, dead_letters_of, predict_file
from ml.batch.shards import Format, shard_rows
from ml.flights.problem import PROBLEM
from ml.serving.bundle import load
from toolchain.paths import repo_root

pytestmark = pytest.mark.integration

RELEASE = repo_root() / "releases" / "flights-0001"
SHARDS, VICTIM = 4, 2
YEAR, PART = 336_776, 60_000


def poison(rows: int) -> list[int]:
    """The number of the row in the middle of each shard."""
    return [part.start + len(part) // 2 for part in shard_rows(rows, SHARDS)]


def flights(rows: int) -> pa.Table:
    """Flights with a key of their own, of which one in each shard has flown a negative distance."""
    table = PROBLEM.load(None, None).head(rows).reset_index(drop=True)
    table.loc[[number - 1 for number in poison(rows)], "distance"] = -1.0
    table["id"] = [f"flight-{number}" for number in range(1, rows + 1)]
    names = [feature.name for feature in PROBLEM.features]
    return pa.Table.from_pandas(table[["id", *names]], preserve_index=False)


def start(source: Path, folder: Path, form: Format, index: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "ml.batch", "--run", "year", "--release-dir", str(RELEASE)]
    command += ["--input", str(source), "--output", str(folder), "--shards", str(SHARDS), "--keep", "id"]
    environment = {**os.environ, "JOB_COMPLETION_INDEX": str(index)}
    return subprocess.Popen([*command, "--format", form], env=environment, stdout=subprocess.PIPE)


def kill_in_the_middle(worker: "subprocess.Popen[bytes]", folder: Path) -> Path:
    """Kill a worker that has written a part of its part; the file that it leaves."""
    deadline = time.monotonic() + 60
    pattern = f".part-{VICTIM:05d}-of-{SHARDS:05d}.*.tmp"
    while worker.poll() is None and time.monotonic() < deadline:
        for path in folder.glob(pattern):
            if path.stat().st_size > 1000:
                worker.send_signal(signal.SIGKILL)
                worker.communicate()
                return path
        time.sleep(0.001)
    raise AssertionError("control: the worker was never seen in the middle of its shard")


def read(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.read_table(path)
    return pacsv.read_csv(path)


@pytest.mark.parametrize(
    ("rows", "given", "form"), [(YEAR, "in.parquet", "parquet"), (PART, "in.csv", "csv")], ids=["parquet", "csv"]
)
def test_a_killed_worker_and_a_poison_row_per_shard_cost_no_row(
    tmp_path: Path, rows: int, given: str, form: Format
) -> None:
    source, folder = tmp_path / given, tmp_path / "out"
    (pq.write_table if form == "parquet" else pacsv.write_csv)(flights(rows), source)
    victim = start(source, folder, form, VICTIM)
    left = kill_in_the_middle(victim, folder)
    assert victim.returncode == -signal.SIGKILL
    assert left.exists(), "control: killed, not ended"
    assert not list((folder / "_receipts").iterdir())

    # Two at a time; the killed one once more at the end, and one that is done already.
    for indices in ((0, 1), (3, 0), (VICTIM, 1)):
        workers = [start(source, folder, form, index) for index in indices]
        outputs = [worker.communicate()[0] for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0], outputs

    parts = pa.concat_tables([read(path) for path in sorted(folder.glob(f"part-*.{form}"))])
    letters = [json.loads(line) for path in (folder / "_dead").iterdir() for line in path.read_text().splitlines()]
    assert sorted(letter["row"] for letter in letters) == poison(rows)
    assert {letter["reason"] for letter in letters} == {"distance=-1.0: must be at least 1.0 mi"}
    keys = parts["id"].to_pylist() + [f"flight-{letter['row']}" for letter in letters]
    assert len(keys) == rows
    assert set(keys) == {f"flight-{number}" for number in range(1, rows + 1)}
    summary = read_summary(folder)
    assert summary is not None
    assert (summary.rows, summary.predicted, summary.dead) == (rows, rows - SHARDS, SHARDS)
    assert not list(folder.glob("*.tmp")) + list(folder.glob(".*.tmp"))
    if form == "parquet":
        assert pq.read_table(folder).num_rows == summary.predicted, "a folder of parts is a table"
    same_as_alone(source, parts, tmp_path / f"alone.{form}")


def same_as_alone(source: Path, parts: pa.Table, output: Path) -> None:
    """One process over the whole file answers the same, in the same order."""
    model = load(RELEASE, RELEASE.name).model
    predict_file(source, output, model, Options(keep=("id",)))
    alone = read(output)

    assert len(dead_letters_of(output).read_text().splitlines()) == SHARDS
    for name in ("row", "id", "prediction", "probability"):
        np.testing.assert_array_equal(parts[name].to_numpy(), alone[name].to_numpy())
    assert parts.schema == alone.schema
