"""`python -m benchmarks.serving`: our model server beside FastAPI + scikit-learn, one core each, in one run.

Both answer the same rows with the same estimator's predictions, checked before anything is timed. The servers run on
one processor, the load comes from another, over the loopback. Rounds alternate, so that a noisy machine hurts both.
"""

import argparse
import hashlib
import json
import os
import socket
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
from rich.console import Console
from rich.table import Table

from benchmarks.load import Result, Target, generator, run
from benchmarks.model import RELEASE, BenchModel, build
from toolchain.paths import scratch

KEY = "the-key-of-the-benchmark"
CHECKED_ROWS = 200
CASES: Mapping[str, tuple[int, int]] = {"1 row, c=1": (1, 1), "1 row, c=32": (1, 32), "32 rows, c=32": (32, 32)}
"""Name: rows of a request, connections."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """How to start one of the two, and where it takes rows."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int
    many: str
    headers: Mapping[str, str]


@dataclass(kw_only=True, slots=True)
class Measured:
    """What was seen of one server over all rounds."""

    ready_s: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    results: dict[str, list[Result]] = field(default_factory=lambda: {case: [] for case in CASES})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {case: [] for case in CASES})

    def summary(self) -> dict[str, Any]:
        """Medians, and the worst p99."""
        cases = {
            case: {
                "rate": statistics.median(result.rate for result in results),
                "p50_ms": statistics.median(result.p50_ms for result in results),
                "p99_ms": statistics.median(result.p99_ms for result in results),
                "cpu_us": statistics.median(self.cpu_us[case]),
                "failed": sum(result.failed for result in results),
                "rounds": [result.to_json() for result in results],
            }
            for case, results in self.results.items()
        }
        return {"ready_s": statistics.median(self.ready_s), "rss_mib": max(self.rss_mib), "cases": cases}


def main() -> int:
    """Measure, print the table, write the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (at most 30)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    directory = scratch() / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    model = build(directory)
    servers = (_ours(model, directory), _peer(model))
    measured = {server.name: Measured() for server in servers}
    for number in range(options.rounds):
        for server in servers:
            print(f"round {number + 1} of {options.rounds}: {server.name}", file=sys.stderr)
            _measure(server, model, measured[server.name], options.seconds, directory)
    summaries = {name: values.summary() for name, values in measured.items()}
    _print(summaries)
    report = {"generator": generator(), "rounds": options.rounds, "seconds": options.seconds, "servers": summaries}
    (directory / "serving.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"load by {generator()}; every round in {directory / 'serving.json'}")
    return int(any(case["failed"] for summary in summaries.values() for case in summary["cases"].values()))


def _ours(model: BenchModel, directory: Path) -> Server:
    keys = directory / "keys"
    keys.write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n", encoding="utf-8")
    port = _free_port()
    environment = {"MODEL_DIR": str(model.release), "MODEL_VERSION": RELEASE, "API_KEYS_FILE": str(keys)}
    return Server(
        name="ml.serving (key check and metrics on)",
        command=[sys.executable, "-m", "ml.serving"],
        environment={**environment, "HOST": "127.0.0.1", "PORT": str(port)},
        port=port,
        many="/predict",
        headers={"X-API-Key": KEY},
    )


def _peer(model: BenchModel) -> Server:
    port = _free_port()
    return Server(
        name="FastAPI + scikit-learn (neither)",
        command=[sys.executable, "-m", "benchmarks.peer", str(model.estimator), str(port)],
        environment={},
        port=port,
        many="/predict-many",
        headers={},
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
            body = {"features": rows[0]} if count == 1 else {"instances": rows[:count]}
            path = "/predict" if count == 1 else server.many
            target = Target(port=server.port, path=path, body=json.dumps(body), headers=server.headers)
            before = _cpu_s(process.pid)
            result = run(target, connections=connections, seconds=seconds, pin=load_pin, scratch=directory)
            measured.cpu_us[case].append((_cpu_s(process.pid) - before) / result.requests * 1e6)
            measured.results[case].append(result)
        measured.rss_mib.append(_rss_mib(process.pid))


@contextmanager
def _running(server: Server, pin: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    started = time.perf_counter()
    process = subprocess.Popen(
        [*pin, *server.command], env={**os.environ, **server.environment}, stdout=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{server.port}/ready").raise_for_status()
                break
            except httpx.HTTPError as error:
                if process.poll() is not None or time.perf_counter() - started > 30:
                    raise SystemExit(f"{server.name} did not start: {error}") from error
                time.sleep(0.02)
        yield process, time.perf_counter() - started
    finally:
        process.terminate()
        process.wait(timeout=20)


def _check_answers(server: Server, model: BenchModel) -> None:
    """Both servers must answer what the estimator says, or there is nothing to compare."""
    import joblib  # noqa: PLC0415  (loaded with scikit-learn, which the measured process must not share)

    rows = model.rows[:CHECKED_ROWS]
    expected = joblib.load(model.estimator).predict_proba(rows)
    url = f"http://127.0.0.1:{server.port}{server.many}"
    reply = httpx.post(url, json={"instances": rows.astype(float).tolist()}, headers=dict(server.headers)).json()
    labels = [("malignant", "benign")[index] for index in expected.argmax(axis=1)]
    worst = float(abs(expected.max(axis=1) - reply["probabilities"]).max())
    if reply["predictions"] != labels or worst > 1e-5:
        raise SystemExit(f"{server.name} answers otherwise than the estimator (off by {worst:.2g}): nothing was timed")


def _cpu_s(pid: int) -> float:
    """Processor time of a process so far: unlike a rate, another job on the machine does not change it much."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _print(summaries: Mapping[str, Any]) -> None:
    (ours_name, ours), (peer_name, peer) = summaries.items()
    table = Table(
        "", ours_name, peer_name, "ratio", title="Model server, one core, GradientBoosting (100 trees), 30 features"
    )
    for case in CASES:
        a, b = ours["cases"][case], peer["cases"][case]
        table.add_row(f"{case}: req/s", f"{a['rate']:,.0f}", f"{b['rate']:,.0f}", f"{a['rate'] / b['rate']:.1f} x")
        latency = [f"{value['p50_ms']:.2f} / {value['p99_ms']:.2f}" for value in (a, b)]
        table.add_row(f"{case}: p50 / p99 ms", *latency, f"{a['p99_ms'] / b['p99_ms']:.2f} x (p99)")
        cost = a["cpu_us"] / b["cpu_us"]
        table.add_row(f"{case}: CPU us/req", f"{a['cpu_us']:.0f}", f"{b['cpu_us']:.0f}", f"{cost:.2f} x")
        table.add_row(f"{case}: failed", str(a["failed"]), str(b["failed"]), "")
    table.add_row(
        "RSS MiB", f"{ours['rss_mib']:.0f}", f"{peer['rss_mib']:.0f}", f"{ours['rss_mib'] / peer['rss_mib']:.2f} x"
    )
    table.add_row(
        "ready s", f"{ours['ready_s']:.2f}", f"{peer['ready_s']:.2f}", f"{ours['ready_s'] / peer['ready_s']:.2f} x"
    )
    Console(width=130).print(table)


if __name__ == "__main__":
    sys.exit(main())
