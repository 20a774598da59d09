"""`python -m benchmarks.serving`: our model server beside three others, one core each, in one run.

All answer the same rows with the same estimator's predictions, checked before anything is timed. The servers run on
one processor, the load comes from another, over the loopback. Rounds alternate, so that a noisy machine hurts all; how
much it did is told by the time that a server was ready to run and had no processor. Ours runs as in a pod: metrics, key
check, request ids and the age of connections are on.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import serving_ceiling
from benchmarks.load import Result, Target, generator, run
from benchmarks.model import BenchModel, build
from benchmarks.serving_servers import Server, all_of
from toolchain.paths import scratch

CHECKED_ROWS = 200
CASES: Mapping[str, tuple[int, int]] = {
    "1 row, c=1": (1, 1),
    "1 row, c=32": (1, 32),
    "32 rows, c=1": (32, 1),
    "32 rows, c=32": (32, 32),
}
"""Name: rows of a request, connections."""
START_S = 180


@dataclass(kw_only=True, slots=True)
class Measured:
    """What was seen of one server over all rounds."""

    ready_s: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    results: dict[str, list[Result]] = field(default_factory=lambda: {case: [] for case in CASES})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {case: [] for case in CASES})
    held_up: dict[str, list[float]] = field(default_factory=lambda: {case: [] for case in CASES})
    """Part of the time in which the server waited for its processor, [0, 1]."""

    def summary(self) -> dict[str, Any]:
        """Medians, and the worst p99."""
        cases = {
            case: {
                "rate": statistics.median(result.rate for result in results),
                "p50_ms": statistics.median(result.p50_ms for result in results),
                "p99_ms": statistics.median(result.p99_ms for result in results),
                "cpu_us": statistics.median(self.cpu_us[case]),
                "held_up": statistics.median(self.held_up[case]),
                "failed": sum(result.failed for result in results),
                "rounds": [result.to_json() for result in results],
            }
            for case, results in self.results.items()
        }
        return {"ready_s": statistics.median(self.ready_s), "rss_mib": max(self.rss_mib), "cases": cases}


def main() -> int:
    """Measure, print the tables, write the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (at most 30)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="servers whose name holds this, such as 'ml.serving'")
    options = parser.parse_args()
    directory = scratch() / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    model = build(directory)
    ceiling = serving_ceiling.measure(model)
    servers = [server for server in all_of(model, directory) if not options.only or options.only in server.name]
    measured = {server.name: Measured() for server in servers}
    for number in range(options.rounds):
        for server in servers:
            print(f"round {number + 1} of {options.rounds}: {server.name}", file=sys.stderr)
            _measure(server, model, measured[server.name], options.seconds, directory)
        summaries = {name: values.summary() for name, values in measured.items()}
        report = {"generator": generator(), "rounds": number + 1, "seconds": options.seconds, "servers": summaries}
        report["in_process_us"] = ceiling
        (directory / "serving.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _print(summaries, ceiling)
    print(f"load by {generator()}; every round in {directory / 'serving.json'}")
    return int(any(case["failed"] for case in summaries[servers[0].name]["cases"].values()))


def _pins() -> tuple[list[str], list[str]]:
    """Commands that put the server and the load on different processors; none where there is only one."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        return [], []
    return ["taskset", "-c", str(available[0])], ["taskset", "-c", str(available[1])]


def _measure(server: Server, model: BenchModel, measured: Measured, seconds: float, directory: Path) -> None:
    server_pin, load_pin = _pins()
    rows = model.rows.astype(float).tolist()
    with _running(server, server_pin) as (process, ready_s):
        _check_answers(server, model)
        measured.ready_s.append(ready_s)
        for case, (count, connections) in CASES.items():
            body = json.dumps(server.body(rows[:count]))
            target = Target(port=server.port, path=server.path(count), body=body, headers=server.headers)
            cpu_s, waited_s = _cpu_s(process), _waited_s(process)
            result = run(target, connections=connections, seconds=seconds, pin=load_pin, scratch=directory)
            measured.cpu_us[case].append((_cpu_s(process) - cpu_s) / max(result.requests, 1) * 1e6)
            measured.held_up[case].append((_waited_s(process) - waited_s) / result.seconds)
            measured.results[case].append(result)
        measured.rss_mib.append(sum(each.memory_info().rss for each in _tree(process)) / 2**20)


@contextmanager
def _running(server: Server, pin: Sequence[str]) -> Iterator[tuple[psutil.Process, float]]:
    """The server from its start to its first readiness; it and what it started are gone afterwards."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [*pin, *server.command],
        env={**os.environ, **server.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{server.port}{server.ready}").raise_for_status()
                break
            except httpx.HTTPError as error:
                if process.poll() is not None or time.perf_counter() - started > START_S:
                    raise SystemExit(f"{server.name} did not start: {error}") from error
                time.sleep(0.02)
        yield psutil.Process(process.pid), time.perf_counter() - started
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _check_answers(server: Server, model: BenchModel) -> None:
    """Every server must answer what the estimator says, or there is nothing to compare."""
    import joblib  # noqa: PLC0415  (loaded with scikit-learn, which the measured process must not share)

    rows = model.rows[:CHECKED_ROWS]
    expected = joblib.load(model.estimator).predict_proba(rows)[:, 1]
    url = f"http://127.0.0.1:{server.port}{server.path(len(rows))}"
    reply = httpx.post(url, json=server.body(rows.astype(float).tolist()), headers=dict(server.headers), timeout=30)
    worst = float(abs(expected - server.probabilities(reply.json())).max())
    if not worst <= 1e-5:
        raise SystemExit(f"{server.name} answers otherwise than the estimator (off by {worst:.2g}): nothing was timed")


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu_s(process: psutil.Process) -> float:
    """Processor time so far: unlike a rate, another job on the machine does not change it much."""
    return sum(sum(each.cpu_times()[:2]) for each in _tree(process))


def _waited_s(process: psutil.Process) -> float:
    """Time in which a thread could have run and another process had its processor (proc(5), schedstat)."""
    files = [file for each in _tree(process) for file in Path(f"/proc/{each.pid}/task").glob("*/schedstat")]
    return sum(int(file.read_text(encoding="ascii").split()[1]) for file in files) / 1e9


def _print(summaries: Mapping[str, Any], ceiling: Mapping[str, float]) -> None:
    title = "Model servers on one core: GradientBoosting (100 trees), 30 features; in brackets: ours is so many times"
    table = Table("", *summaries, title=title)
    first, *others = summaries.values()

    def row(name: str, values: Sequence[float], form: str, factor: Sequence[float]) -> None:
        cells = [f"{values[0]:{form}}"]
        cells += [f"{value:{form}}  ({ratio:.1f})" for value, ratio in zip(values[1:], factor, strict=True)]
        table.add_row(name, *cells)

    for case in CASES:
        cases = [summary["cases"][case] for summary in (first, *others)]
        rates = [value["rate"] for value in cases]
        row(f"{case}: req/s", rates, ",.0f", [rates[0] / rate for rate in rates[1:]])
        table.add_row(f"{case}: p50 / p99 ms", *(f"{value['p50_ms']:.2f} / {value['p99_ms']:.2f}" for value in cases))
        costs = [value["cpu_us"] for value in cases]
        row(f"{case}: CPU us/req", costs, ",.0f", [cost / costs[0] for cost in costs[1:]])
        table.add_row(f"{case}: without a processor", *(f"{value['held_up']:.0%}" for value in cases))
        table.add_row(f"{case}: failed", *(str(value["failed"]) for value in cases))
    for name, key, form in (("RSS MiB", "rss_mib", ",.0f"), ("ready s", "ready_s", ".2f")):
        values = [summary[key] for summary in (first, *others)]
        row(name, values, form, [value / values[0] for value in values[1:]])
    console = Console(width=150)
    console.print(table)
    inside = Table("in one process, without sockets", "us", "a second")
    for name, value in ceiling.items():
        inside.add_row(name, f"{value:.1f}", f"{1e6 / value:,.0f}")
    console.print(inside)


if __name__ == "__main__":
    sys.exit(main())
