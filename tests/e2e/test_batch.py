"""The whole year over shards in the cluster: a worker is killed the hard way, and one row of each shard is poison."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.e2e.faults import process_of
from tests.e2e.jobs import ask_for, pods_of, succeeded
from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING, eventually, prometheus
from tests.ml.batch.test_workers import YEAR, flights, poison

pytestmark = pytest.mark.e2e

RUN, SHARDS, VICTIM = "year", 4, 0
INDEX = "batch.kubernetes.io/job-completion-index"


def pods(machine: Machine) -> list[dict[str, Any]]:
    return pods_of(machine, f"batch-{RUN}")


def start_run(machine: Machine) -> None:
    wanted = {"run": RUN, "input": "in/year.parquet", "size": "1Gi", "keep": "id"}
    wanted |= {"shards": str(SHARDS), "parallelism": "2", "minutes": "30"}
    ask_for(machine, "batch", wanted)


def victim(machine: Machine) -> tuple[str, int] | None:
    """Name of the pod of the shard that is to die, and its process on this machine."""
    for pod in pods(machine):
        pid = process_of(pod, "ml.batch") if pod["metadata"]["labels"][INDEX] == str(VICTIM) else None
        if pid is not None:
            return pod["metadata"]["name"], pid
    return None


def halted_in_the_middle(pid: int) -> bool:
    """Let a halted worker go on, and halt it again once it has written a part of its part."""
    folder = Path("/proc", str(pid), "root", "volume", RUN)
    os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if any(path.stat().st_size > 1000 for path in folder.glob(f".part-{VICTIM:05d}-of-*.tmp")):
                os.kill(pid, signal.SIGSTOP)
                return not list((folder / "_receipts").glob(f"part-{VICTIM:05d}-of-*.json"))
        except FileNotFoundError:  # committed between the two looks
            return False
        time.sleep(0.001)
    return False


def finished(machine: Machine) -> bool:
    return succeeded(machine, f"batch-{RUN}") == SHARDS


@pytest.fixture(scope="module")
def killed(machine: Machine) -> str:
    """Workers wait for the input; the one that is to die is halted before it comes. Returns the name of its pod."""
    machine.run("make", "up", timeout_s=45 * 60)
    start_run(machine)
    eventually(lambda: victim(machine) is not None, 420)
    found = victim(machine)
    assert found is not None
    name, pid = found
    eventually(lambda: "waiting_for_input" in machine.text("kubectl", "logs", "-n", STAGING, name), 120)
    os.kill(pid, signal.SIGSTOP)
    pq.write_table(flights(YEAR), machine.clone / "year.parquet")
    machine.run("mlp", "batch", "put", "year.parquet", "--stack", "staging")
    middle = halted_in_the_middle(pid)
    os.kill(pid, signal.SIGKILL)
    assert middle, "control: the worker was not in the middle of its shard"
    eventually(lambda: finished(machine), 900)
    return name


@pytest.fixture(scope="module")
def got(machine: Machine, killed: str) -> Path:
    machine.run("mlp", "batch", "get", "--stack", "staging", "--run", RUN, "--out", "got")
    return machine.clone / "got"


def test_the_killed_pod_died_of_the_kill_and_was_replaced(machine: Machine, killed: str) -> None:
    same = [one for one in pods(machine) if one["metadata"]["labels"][INDEX] == str(VICTIM)]
    (ended,) = next(one for one in same if one["metadata"]["name"] == killed)["status"]["containerStatuses"]

    assert ended["state"]["terminated"]["exitCode"] == 137
    assert sorted(one["status"]["phase"] for one in same) == ["Failed", "Succeeded"]


def test_every_row_is_exactly_once_in_the_output_or_the_dead_letters(got: Path) -> None:
    letters = [json.loads(line) for path in (got / "_dead").iterdir() for line in path.read_text().splitlines()]
    table = pq.read_table(got)
    keys = table["id"].to_pylist() + [f"flight-{letter['row']}" for letter in letters]

    assert sorted(letter["row"] for letter in letters) == poison(YEAR)
    assert len(keys) == YEAR
    assert set(keys) == {f"flight-{number}" for number in range(1, YEAR + 1)}


def test_the_cluster_answers_what_one_process_answers(machine: Machine, got: Path) -> None:
    live = machine.kubectl("get", "deployment", "-n", STAGING, "-l", "app.kubernetes.io/name=model")["items"]
    release = live[0]["metadata"]["labels"]["ml-pipeline/release"]
    machine.run("mlp", "batch", "year.parquet", "alone.parquet", "--release", release, "--keep", "id")
    columns = ["row", "id", "prediction", "probability"]

    alone = pq.read_table(machine.clone / "alone.parquet", columns=columns)

    assert pq.read_table(got, columns=columns).sort_by("row").equals(alone)


def test_the_status_says_what_became_of_the_run(machine: Machine, killed: str) -> None:
    shown = machine.text("mlp", "batch", "status", "--stack", "staging")

    assert f"{RUN}: {SHARDS} of {SHARDS} shards done" in shown
    assert f"complete: {YEAR:,} rows = {YEAR - SHARDS:,} predicted + {SHARDS} dead letters" in shown


def test_the_same_run_again_finds_everything_done(machine: Machine, killed: str) -> None:
    """What `pulumi up` makes of a Job that is gone: its workers end at once, and no part is written again."""
    before = json.loads((machine.clone / "got/_summary.json").read_text())
    machine.run("kubectl", "delete", "job", f"batch-{RUN}", "-n", STAGING)
    machine.run("pulumi", "up", "--refresh", "--yes", "--skip-preview", "--stack", "staging", timeout_s=900)
    eventually(lambda: finished(machine), 300)
    machine.run("mlp", "batch", "get", "--stack", "staging", "--run", RUN, "--out", "again")

    assert json.loads((machine.clone / "again/_summary.json").read_text()) == before


def test_the_pod_that_reached_the_volume_is_gone(machine: Machine, got: Path) -> None:
    eventually(lambda: "batch-files-" not in machine.text("kubectl", "get", "pods", "-n", STAGING, "-o", "name"), 60)


def test_prometheus_knows_the_sum(machine: Machine, killed: str) -> None:
    rows = f'ml_batch_rows{{run="{RUN}",outcome="%s"}}'
    eventually(lambda: prometheus(machine, rows % "predicted") == YEAR - SHARDS, 90)

    assert prometheus(machine, rows % "dead") == SHARDS
    assert prometheus(machine, f'time() - ml_batch_last_success_timestamp_seconds{{run="{RUN}"}}') < 3600
