"""`python -m benchmarks.data`: a file of 1 GB through `mlp data validate` and `mlp data snapshot`, to their ends.

Of each row in it the fate is known, so every count that a command tells is compared before a figure is. A file of a
twentieth runs first: what memory takes more for the large one is what grows with a file. The small one's snapshot is
compared with the same rows sorted in memory, by pandas.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import data_file
from ml import problem as problems
from ml.cli.files import COUNTED
from ml.data import checker, snapshots
from ml.data.digest import snapshot_sha256
from ml.data.letters import DeadLetters
from ml.data.read import Dialect, read
from ml.problem import Problem
from toolchain.paths import repo_root, scratch, venv_bin

SMALL_SHARE = 20  # the small file is this part of the large one
MAX_MIB = 1024  # that any command may take at its peak, whatever the size of the file
DEADLINE_S = 1800
_ROW = re.compile(r"│ (total|accepted|(?:dropped|rejected): \S+) +│ +([\d,]+) │")


@dataclass(frozen=True, kw_only=True)
class Done:
    """One command that ended well."""

    output: str
    steps: Sequence[str]
    seconds: float
    peak_mib: float


def main() -> int:
    """Measure, print, write `.build/bench/data.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--mb", type=int, default=1000, help="size of the large file")
    size = parser.parse_args().mb * 1_000_000
    folder = scratch() / "bench" / "data"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    problem = problems.current()
    try:
        report = [_measured(problem, folder, size // SMALL_SHARE, sort=True), _measured(problem, folder, size)]
    finally:
        shutil.rmtree(folder)
    _show(report)
    out = scratch() / "bench" / "data.json"
    out.write_text(json.dumps({"load": os.getloadavg()[0], "files": report}, indent=2) + "\n", encoding="utf-8")
    print(f"load of the machine {os.getloadavg()[0]:.1f}; {out}")
    return (
        0 if all(each["commands"][name]["peak_mib"] <= MAX_MIB for each in report for name in each["commands"]) else 1
    )


def _measured(problem: Problem, folder: Path, size: int, *, sort: bool = False) -> dict[str, Any]:
    path, store = folder / f"{size // 1_000_000}.csv", folder / f"store-{size}"
    print(f"writing {path}", file=sys.stderr)
    written = data_file.write(problem, path, min_bytes=size)
    done = {name: _run(name, path, store) for name in ("validate", "snapshot")}
    _check_counts(written, done["validate"], DeadLetters(store / "dead-letters" / problem.name))
    _check_snapshot(written, done["snapshot"], store / "snapshots")
    if sort:
        _same(done["snapshot"].output.split()[1], _sorted_in_memory(problem, path), "the hash of the rows")
    commands = {
        name: {"seconds": each.seconds, "rows_per_s": written.rows / each.seconds, "peak_mib": each.peak_mib}
        for name, each in done.items()
    }
    found = {"bytes": path.stat().st_size, "rows": written.rows, "commands": commands}
    path.unlink()
    shutil.rmtree(store)
    return found


def _run(name: str, path: Path, store: Path) -> Done:
    command = [str(venv_bin() / "mlp"), "data", name, str(path), "--as-of", data_file.AS_OF]
    log = store.with_name(f"{store.name}-{name}.log")
    started, peak = time.monotonic(), 0.0
    with log.open("w") as told:
        running = subprocess.Popen(
            command,
            cwd=repo_root(),
            env={**os.environ, "MLP_DATA_STORE": str(store), "COLUMNS": "120"},
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        )
        while running.poll() is None:
            peak = max(peak, _peak_mib(running.pid))
            if time.monotonic() - started > DEADLINE_S:
                running.kill()
                raise SystemExit(f"mlp data {name} was not done after {DEADLINE_S} s")
            time.sleep(0.1)
        seconds = time.monotonic() - started
    output = running.communicate()[0]
    steps = log.read_text().splitlines()
    if running.returncode:
        raise SystemExit(f"mlp data {name} ended with {running.returncode}:\n{output}\n" + "\n".join(steps[-10:]))
    print(f"mlp data {name} {path.name}: {seconds:.1f} s, {peak:.0f} MiB", file=sys.stderr)
    return Done(output=output, steps=steps, seconds=seconds, peak_mib=peak)


def _peak_mib(process: int) -> float:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    found = status.partition("VmHWM:")[2].split()
    return int(found[0]) / 1024 if found else 0.0


def _check_counts(written: data_file.Written, done: Done, store: DeadLetters) -> None:
    found = {name: int(rows.replace(",", "")) for name, rows in _ROW.findall(done.output)}
    expected = {"total": written.rows, "accepted": written.accepted}
    expected |= {f"dropped: {code}": rows for code, rows in written.dropped.items()}
    expected |= {f"rejected: {code}": rows for code, rows in written.rejected.items()}
    _same(found, expected, "the ledger")
    content = store.read()
    kept = len(content.letters) + content.counts.dropped
    _same(kept, sum(written.rejected.values()), "dead letters kept and dropped")
    told = [step for step in done.steps if step.startswith("checked ")]
    _same(len(told), written.rows // COUNTED, "words about the progress")


def _check_snapshot(written: data_file.Written, done: Done, folder: Path) -> None:
    name = done.output.split()[1]
    _same(snapshots.stored_sha256(name, folder), name, "the hash of what the store holds")
    _same([path.name for path in folder.iterdir()], [f"{name}.parquet"], "the files in the store")
    _same(f"\n{written.accepted:,} rows of" in done.output, True, "the rows of the snapshot are told")


def _sorted_in_memory(problem: Problem, path: Path) -> str:
    import pandas as pd  # noqa: PLC0415  (the command that is measured is another process)

    chunks = [chunk.table for chunk in read(path, problem.contract, problem.key, Dialect())]
    as_of = pd.Timestamp(data_file.AS_OF).to_pydatetime()
    found, _ = checker.sort_out(problem.contract, pd.concat(chunks), key=problem.key, as_of=as_of)
    first = [*([problem.time] if problem.time else []), *problem.key]
    names = list(dict.fromkeys([*first, *sorted(found.accepted.columns)]))
    return snapshot_sha256(found.accepted.sort_values(names, kind="stable", ignore_index=True))


def _same(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise SystemExit(f"{what}: found {found}, expected {expected}")


def _show(report: Sequence[dict[str, Any]]) -> None:
    table = Table("file", "rows", "command", "s", "rows/s", "peak MiB")
    for each in report:
        for name, done in each["commands"].items():
            figures = (f"{done['seconds']:.1f}", f"{done['rows_per_s']:,.0f}", f"{done['peak_mib']:.0f}")
            table.add_row(f"{each['bytes'] / 1e6:,.0f} MB", f"{each['rows']:,}", f"mlp data {name}", *figures)
    Console().print(table)


if __name__ == "__main__":
    raise SystemExit(main())
