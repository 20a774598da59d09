"""`python -m benchmarks.drift`: our drift check beside scipy and alibi-detect, then how often each rule is wrong.

The peer gets an environment of its own from a hashed lock file. Every side runs in its own process on the same columns;
their distances are compared before any time is told. Sides alternate in rounds, so that a noisy machine hurts all.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import drift_rates
from benchmarks.peers import environment
from ml.data.schema import Feature
from ml.drift.reference import prepare_columns, save
from toolchain import paths

LOCK = Path(__file__).with_name("drift-peer.txt")
SHAPES = ((30, 1_000), (30, 100_000), (500, 100_000))
MOVED, SHIFT = 3, 0.2  # the first columns, in standard deviations
SEED = 20131124
NAMES = {"ours": "ours, grid", "exact": "ours, values kept", "scipy": "scipy loop", "alibi": "alibi-detect 0.13"}
AGREED = {"ours": 1e-3, "exact": 1e-9, "scipy": 1e-9, "alibi": 1e-6}
"""How far a distance may lie from scipy's: the grid states its error, alibi-detect answers in float32."""


def main() -> int:
    """Measure, print the tables, write `.build/bench/drift.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=400, help="of the simulation; 0 leaves it out")
    parser.add_argument("--shapes", type=int, nargs="*", choices=range(len(SHAPES)), default=range(len(SHAPES)))
    parser.add_argument("--only", choices=("times", "rates"))
    options = parser.parse_args()
    report: dict[str, Any] = {"load_before": os.getloadavg()[0]}
    if options.only != "rates":
        report["times"] = [_shape(*SHAPES[index], options.rounds) for index in options.shapes]
        _print(report["times"])
    if options.only != "times" and options.trials:
        report["rates"] = drift_rates.measure(options.trials)
        drift_rates.show(report["rates"])
    report["load_after"] = os.getloadavg()[0]
    out = paths.scratch() / "bench" / "drift.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"load of the machine before {report['load_before']:.1f}, after {report['load_after']:.1f}; {out}")
    return 0


def _shape(columns: int, rows: int, rounds: int) -> dict[str, Any]:
    folder = paths.scratch() / "bench" / "drift-data"
    print(f"{columns} x {rows:,}: writing", file=sys.stderr)
    _write(folder, columns, rows)
    python = dict.fromkeys(NAMES, sys.executable) | {"alibi": str(environment("drift-peer", LOCK))}
    found: dict[str, list[Any]] = {side: [] for side in NAMES}
    for number in range(rounds):
        for side, name in NAMES.items():
            print(f"{columns} x {rows:,}: round {number + 1} of {rounds}: {name}", file=sys.stderr)
            found[side].append(_run(python[side], side, folder))
    shutil.rmtree(folder)
    _compare(found)
    return {"columns": columns, "rows": rows, "sides": {side: _summary(runs) for side, runs in found.items()}}


def _write(folder: Path, columns: int, rows: int) -> None:
    random = np.random.default_rng((SEED, columns, rows))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    reference, current = (random.normal(size=(columns, rows)) for _ in range(2))
    current[:MOVED] += SHIFT
    np.save(folder / "reference.npy", reference)
    np.save(folder / "current.npy", current)
    features = [Feature(name=f"f{index}", kind="number") for index in range(columns)]
    known = {feature.name: reference[index] for index, feature in enumerate(features)}
    for name, keep in (("grid", False), ("exact", True)):
        save(prepare_columns(features, known, {}, keep=keep), folder / name)


def _run(python: str, side: str, folder: Path) -> Any:
    script = Path(__file__).with_name("drift_side.py")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": str(paths.repo_root()) if side != "alibi" else ""}
    done = subprocess.run(
        [python, str(script), side, str(folder)], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise SystemExit(f"{NAMES[side]} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _compare(found: Mapping[str, Sequence[Any]]) -> None:
    """No side's distance may differ from scipy's by more than it says, or there is nothing to compare."""
    expected = np.array(found["scipy"][0]["d"])
    for side, runs in found.items():
        worst = float(np.abs(np.array(runs[0]["d"]) - expected).max())
        if worst > AGREED[side]:
            raise SystemExit(f"{NAMES[side]} is off by {worst:.2g}: nothing is compared")


def _summary(runs: Sequence[Any]) -> dict[str, Any]:
    return {
        "prepare_s": statistics.median(run["prepare_s"] for run in runs),
        "check_s": statistics.median(run["check_s"] for run in runs),
        "check_cpu_s": statistics.median(run["check_cpu_s"] for run in runs),
        "extra_mib": max(run["extra_mib"] for run in runs),
        "flagged": sum(runs[0]["moved"]),
    }


def _print(times: Sequence[Any]) -> None:
    table = Table(title=f"one core, {MOVED} columns moved by {SHIFT} standard deviations; scipy / side in brackets")
    for name in ("", "load or prepare s", "check s", "check CPU s", "extra MiB", "flagged"):
        table.add_column(name, justify="right" if name else "left")
    for shape in times:
        scipy = shape["sides"]["scipy"]["check_cpu_s"]
        for side, seen in shape["sides"].items():
            cpu = f"{seen['check_cpu_s']:.3f} ({scipy / seen['check_cpu_s']:.1f} x)"
            numbers = [f"{seen['prepare_s']:.3f}", f"{seen['check_s']:.3f}", cpu, f"{seen['extra_mib']:.0f}"]
            table.add_row(f"{shape['columns']} x {shape['rows']:,} {NAMES[side]}", *numbers, str(seen["flagged"]))
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
