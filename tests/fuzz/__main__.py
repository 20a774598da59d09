"""`python -m tests.fuzz`: what no example thought of, on 127.0.0.1 only and for a bounded time.

Two fuzzers, each with half of what it needs to find: schemathesis asks a running server everything that its OpenAPI
document allows and forbids, and checks status, schema, headers, methods and authentication of each answer; atheris
mutates raw bytes by the coverage of our code, in process (`http_target.py`). Neither may see a 5xx, a hang or an
answer that the document does not know.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.peers import environment
from tests.ml.serving.client import KEY
from tests.ml.serving.process import ROOT, Server
from tests.ml.serving.releases import make_release
from toolchain.paths import scratch

HERE = Path(__file__).parent
HANG_S = 5
MAX_SECONDS = 3600
SPARE_S = 120
"""For the start of the tools and what they are in the middle of when the time is over."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one fuzzer did: cases asked, whether every answer was right, and the end of what it said."""

    name: str
    cases: int
    clean: bool
    log: str


def by_schema(folder: Path, *, seconds: int, examples: int, seed: int) -> Found:
    """Ask a server of its own what its document allows and forbids."""
    keys = folder / "keys"
    release_folder = folder / "delay"
    release = make_release(release_folder, "binary")
    keys.write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n", encoding="utf-8")
    server = Server(release_folder, release, keys)
    report = folder / "schemathesis.json"
    try:
        server.wait_ready()
        command = [_tool("st"), "--config-file", str(HERE / "schemathesis.toml"), "run", f"{server.url}/openapi.json"]
        command += [f"--max-time={seconds}", f"--max-examples={examples}", f"--seed={seed}", "--no-color"]
        code, log = _run([*command, f"--report-json-path={report}"], folder, seconds)
        alive = server.process.poll() is None
    finally:
        server.process.kill()
        server.process.communicate()
    cases = re.search(r"(\d+) generated", log)
    return Found(name="schemathesis", cases=int(cases[1]) if cases else 0, clean=code == 0 and alive, log=log)


def by_coverage(folder: Path, *, seconds: int, runs: int, seed: int, control: bool = False) -> Found:
    """Mutate bytes; `runs` below zero is until the time is over, `control` gives the server a defect to find."""
    release_folder = folder / "iris"
    release = make_release(release_folder)
    command = [_tool("python"), str(HERE / "http_target.py"), str(release_folder), release, str(folder / "corpus")]
    command += [f"-seed={seed}", f"-runs={runs}", f"-max_total_time={seconds}", f"-timeout={HANG_S}", "-max_len=2048"]
    command += [f"-artifact_prefix={folder}/", *(["--control"] if control else [])]
    code, log = _run(command, folder, seconds)
    cases = re.search(r"Done (\d+) runs", log)
    return Found(name="atheris", cases=int(cases[1]) if cases else 0, clean=code == 0, log=log)


def _tool(name: str) -> str:
    return str(environment("fuzz", HERE / "tools.txt").with_name(name))


def _run(command: Sequence[str], folder: Path, seconds: int) -> tuple[int, str]:
    """The exit code and everything it said; what hangs longer than it may is a finding."""
    search = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder), "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=search, check=False, capture_output=True, text=True, timeout=seconds + SPARE_S
        )
    except subprocess.TimeoutExpired:
        return 1, f"did not end within {seconds + SPARE_S} s"
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    """Run both; the exit code is 1 when one found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="of each fuzzer")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    seconds = min(options.seconds, MAX_SECONDS)
    folder = scratch() / "fuzz"
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for fuzz in (
        lambda: by_schema(folder, seconds=seconds, examples=5000, seed=options.seed),
        lambda: by_coverage(folder, seconds=seconds, runs=-1, seed=options.seed),
    ):
        result = fuzz()
        (folder / f"{result.name}.log").write_text(result.log, encoding="utf-8")
        verdict = "clean" if result.clean else f"FOUND SOMETHING, see {folder / (result.name + '.log')}"
        print(f"{result.name}: {result.cases:,} cases in {seconds} s: {verdict}", flush=True)
        found.append(asdict(result) | {"log": f"{result.name}.log"})
    report = {"seconds_each": seconds, "seed": options.seed, "fuzzers": found}
    (folder / "result.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return int(not all(item["clean"] for item in found))


if __name__ == "__main__":
    sys.exit(main())
