"""Small inputs, runs over shards of them, and where their rows went."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ml.batch.gather import Summary, gather
from ml.batch.worker import Run, open_run, predict_shard
from ml.serving.bundle import Bundle


def distances(rows: int, poison: set[int]) -> list[float]:
    return [-1.0 if number in poison else float(number) for number in range(1, rows + 1)]


def write_input(path: Path, rows: int, poison: set[int] | None = None, group: int = 7) -> Path:
    ids = [f"id-{number}" for number in range(1, rows + 1)]
    table = pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "distance": pa.array(distances(rows, poison or set()), pa.float64()),
            "carrier": pa.array(["AA"] * rows, pa.string()),
            "gust": pa.array([None] * rows, pa.float64()),
        }
    )
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=group)
    else:
        pacsv.write_csv(table, path)
    return path


def a_run(source: Path, folder: Path, bundle: Bundle, shards: int, **changes: Any) -> Run:
    run = Run(source=source, folder=folder, bundle=bundle, shards=shards, format="parquet", keep=("id",))
    return replace(run, **changes)


def work(run: Run, index: int, max_dead_share: float = 1.0) -> Summary | None:
    opened = open_run(run)
    predict_shard(opened, index)
    return gather(opened, max_dead_share)


def read(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path) if path.suffix == ".parquet" else pacsv.read_csv(path)
    return list(table.to_pylist())


def outcome(folder: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Row number -> kept id of every predicted row, and -> reason of every dead one; fails if a number comes twice."""
    done = [(row["row"], row["id"]) for path in sorted(folder.glob("part-*")) for row in read(path)]
    letters = [
        json.loads(line) for path in (folder / "_dead").glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    dead = [(line["row"], line["reason"]) for line in letters]
    numbers = [number for number, _ in [*done, *dead]]
    assert len(set(numbers)) == len(numbers), "a row stands twice"
    return dict(done), dict(dead)
