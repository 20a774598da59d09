"""Records: numbers that are none, a row on which the model always fails, dead letters that cannot be written."""

import json
import math
import time
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow.parquet as pq
import pytest

from ml.batch.source import CHUNK_ROWS
from tests.e2e.bench import Bench
from tests.e2e.machine import Machine
from tests.e2e.matrix import records
from tests.e2e.matrix.flood import bodies, flood
from tests.e2e.matrix.mounts import mounted, refuses_writes
from tests.e2e.matrix.rows import Row, row
from tests.e2e.two_releases import FIRST, PORT
from tests.ml.batch.test_workers import flights as flights_of_shards
from tests.ml.batch.test_workers import poison

pytestmark = pytest.mark.e2e

ROUNDS, AT_ONCE = 120, 4  # of seven bodies each: 3,360 requests
ROWS, POISONED = 25_000, 12_345
SHARDED, SHARDS = 2_000, 2


@pytest.mark.smoke
def test_row_38_numbers_that_are_none(bench: Bench, tmp_path: Path) -> None:
    with row(38, "a column without a number in it, as a file and as thousands of requests") as result:
        nulls_in_a_file(bench.machine, tmp_path, result)
        serving = json.loads((bench.machine.clone / "releases" / FIRST / "serving.json").read_text())
        column = [feature["name"] for feature in serving["features"]].index(records.POISON.feature)
        whole = next(golden for golden in bench.rows if isinstance(golden, list) and None not in golden)
        slot = bench.live()
        before = bench.restarts(slot)
        with bench.clients() as clients:
            time.sleep(2)  # until they are all at it
            answers = flood(PORT, bench.key, bodies(whole, column), ROUNDS, AT_ONCE)

        result.facts["answers"] = {" ".join(map(str, one)): number for one, number in answers.items()}
        wrong = {one: number for one, number in answers.items() if one[1:] != (422, "invalid_features")}
        result.control("some thousand bad requests were sent", answers.total() >= 3000, answers.total())
        assert not wrong, f"each must be refused with its code: {wrong}"
        assert bench.restarts(slot) == before, f"containers were started again: {bench.restarts(slot) - before}"
        result.lost_nothing(clients.seen)


def nulls_in_a_file(machine: Machine, folder: Path, result: Row) -> None:
    """The data half of row 38: such a file stops the run, and the same file with its numbers passes."""
    for case in (records.NULLS, records.as_parquet(records.NULLS)):
        done = records.data(machine, "validate", case.make(folder), case, folder / "store")
        result.facts[f"refused {case.file}"] = f"exit {done.returncode}, {case.code}"
        assert done.returncode == 4, done.stdout[-2000:]
        assert case.code is not None
        assert case.code in done.stdout, done.stdout[-2000:]
        assert f"{records.POISON.feature}:mostly_missing" in done.stdout, done.stdout[-2000:]
    good = records.WELL_FORMED
    passed = records.data(machine, "validate", good.make(folder), good, folder / "store")
    says = passed.stdout.splitlines()[-1]
    result.control("the same file with its numbers passes", passed.returncode == 0 and "pass" in says, says)


@pytest.mark.smoke
def test_row_39_a_row_on_which_the_model_always_fails(bench: Bench, tmp_path: Path) -> None:
    with row(39, "one row of a batch on which the model raises, each time") as result:
        a_poison_row(bench.machine, tmp_path, result)


def a_poison_row(machine: Machine, folder: Path, result: Row) -> None:
    """Row 39 without a cluster: `mlp batch` with a release whose model raises on one value."""
    with records.raising(machine) as release:
        without, ids = _batch(machine, folder / "good.parquet", None)
        result.control("the same rows without it have no dead letter", not without.dead and len(without.ids) == ROWS)
        got, _ = _batch(machine, folder / "bad.parquet", POISONED)
        tried = records.tries(release, folder / "bad.parquet", folder / "counted.parquet")
        result.control("the model raised each time", tried > 1, f"{tried} tries")
    # Halves of a chunk, until the row is alone: once for the whole, once for each half that has it.
    most = 1 + math.ceil(math.log2(CHUNK_ROWS))
    result.facts |= {"rows": ROWS, "predicted": len(got.ids), "dead": len(got.dead), "tries": tried, "most": most}

    assert tried <= most
    assert [letter["row"] for letter in got.dead] == [POISONED]
    assert got.dead[0]["reason"].startswith("the model failed"), got.dead
    assert got.dead[0]["values"][records.POISON.feature] == records.POISON.value
    assert len(got.ids) + len(got.dead) == ROWS
    assert sorted(got.ids) == sorted(ids - {f"flight-{POISONED}"})


def _batch(machine: Machine, source: Path, poisoned: int | None) -> tuple[records.Predicted, set[str]]:
    table = records.flights(ROWS, poisoned)
    pq.write_table(table, source)
    output = source.with_name(f"out-{source.name}")
    machine.run("mlp", "batch", str(source), str(output), "--release", records.CRAFTED, "--keep", "id", timeout_s=120)
    return records.predicted(output), set(table["id"].to_pylist())


def test_row_40_dead_letters_that_cannot_be_written(bench: Bench, tmp_path: Path) -> None:
    with row(40, "the place of the dead letters is read-only") as result:
        unwritable_letters(bench.machine, tmp_path, result)


def unwritable_letters(machine: Machine, folder: Path, result: Row) -> None:
    """Row 40 without a cluster: of a contract's rejected rows, of a batch, of a shard of one."""
    _of_rejected_rows(machine, folder / "data", result)
    _of_a_shard(machine, folder / "shards", result)
    _of_a_batch(machine, folder / "batch", result)


def _refused(result: Row, what: str, done: CompletedProcess[str], code: str) -> None:
    words = next((line for line in done.stdout.splitlines() if code in line), done.stdout[-2000:])
    result.facts[what] = f"exit {done.returncode}: {words}"
    assert (done.returncode, code in words, "Read-only" in words) == (4, True, True), f"{what}: {done.stdout[-3000:]}"


def _control(result: Row, what: str, place: Path) -> None:
    refused, said = refuses_writes(place)
    result.control(f"{what}: a write by hand is refused", refused, said)


def _of_rejected_rows(machine: Machine, folder: Path, result: Row) -> None:
    store, case = folder / "store", records.SOME_REJECTED
    place = store / "dead-letters"
    with mounted(place) as remount:
        file = case.make(folder)
        remount("ro")
        _control(result, "mlp data", place)
        for word in ("validate", "snapshot"):
            done = records.data(machine, word, file, case, store)
            _refused(result, f"mlp data {word}", done, "ML-DATA-011")
            assert "the data pass" not in done.stdout
        assert not list(store.rglob("*.parquet")), "a snapshot of rows whose rejected neighbours are lost"
        remount("rw")
        for word in ("validate", "snapshot"):
            done = records.data(machine, word, file, case, store)
            assert done.returncode == 0, done.stdout[-2000:]
        kept = records.letters(store)
        assert len(kept) == sum(case.rejected.values()), kept
        assert len(list(store.rglob("*.parquet"))) == 1


def _of_a_shard(machine: Machine, folder: Path, result: Row) -> None:
    run = folder / "run"
    release = machine.clone / "releases" / FIRST
    command = ["python", "-m", "ml.batch", "--run", "faults", "--input", str(folder / "in.parquet")]
    command += ["--output", str(run), "--shards", str(SHARDS), "--keep", "id", "--release-dir", str(release), "--index"]
    with mounted(run / "_dead") as remount:
        pq.write_table(flights_of_shards(SHARDED), folder / "in.parquet")
        remount("ro")
        _control(result, "a shard", run / "_dead")
        done = machine.run(*command, "0", check=False, timeout_s=120)
        _refused(result, "a shard", done, "ML-BATCH-005")
        assert "/_dead/" in done.stdout, f"the file at fault is a dead letter: {done.stdout[-2000:]}"
        left = [path for path in run.rglob("*part-*") if path.suffix != ".lock"]
        assert not left, f"neither a part nor a receipt may be there: {left}"
        remount("rw")
        for index in range(SHARDS):
            machine.run(*command, str(index), timeout_s=120)
        summary = json.loads((run / "_summary.json").read_text())
        assert (summary["dead"], summary["predicted"]) == (len(poison(SHARDED)), SHARDED - len(poison(SHARDED)))


def _of_a_batch(machine: Machine, folder: Path, result: Row) -> None:
    place = folder / "out"
    with mounted(place) as remount:
        source, output = folder / "in.parquet", place / "out.parquet"
        pq.write_table(flights_of_shards(SHARDED), source)
        command = ("mlp", "batch", str(source), str(output), "--release", FIRST, "--keep", "id")
        remount("ro")
        _control(result, "mlp batch", place)
        _refused(result, "mlp batch", machine.run(*command, check=False, timeout_s=120), "ML-BATCH-005")
        assert not list(place.iterdir())
        remount("rw")
        machine.run(*command, timeout_s=120)
        got = records.predicted(output)
        assert [letter["row"] for letter in got.dead] == poison(SHARDED)
        assert len(got.ids) + len(got.dead) == SHARDED
