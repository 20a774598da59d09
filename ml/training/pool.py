"""Worker processes on this machine: started, watched, started again when they are killed, ended with us."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from ml.errors import PipelineError
from ml.training.failures import MAX_ATTEMPTS
from ml.training.study import Study
from toolchain import paths

_POLL_S = 0.3
_END_WITHIN_S = 10


def run(  # noqa: PLR0913  (the study as an object to look at, and as a file for the workers)
    study: Study, package: str, database: Path, material: Path, *, workers: int, told: Callable[[], None]
) -> None:
    """Let so many processes work on the study until it is over; `told` is called all the while.

    A process that a signal ended is replaced: its trial is found stale and is tried again.

    Raises:
        PipelineError: With the end of a worker's output, if one refuses, or if they die again and again.
    """
    command = [sys.executable, "-m", "ml.training.worker", f"--problem={package}", f"--study={study.name}"]
    command += [f"--storage=sqlite:///{database}", f"--material={material}", f"--parent={os.getpid()}"]
    command += [f"--sampler={study.sampler}", f"--seed={study.seed}"]
    deaths = 0
    with tempfile.TemporaryFile("w+") as output:
        running = [_start(command, output) for _ in range(workers)]
        try:
            while running:
                time.sleep(_POLL_S)
                told()
                for one in [worker for worker in running if worker.poll() is not None]:
                    running.remove(one)
                    if one.returncode > 0:
                        raise _refused(output)
                    if one.returncode < 0:
                        deaths += 1
                        if deaths > MAX_ATTEMPTS * workers:
                            raise _died(deaths)
                        running.append(_start(command, output))
        finally:
            _end(running)
    told()


def _start(command: list[str], output: IO[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=paths.repo_root(), env=environment, stdout=output, stderr=output, text=True)


def _end(running: list[subprocess.Popen[str]]) -> None:
    for one in running:
        with suppress(ProcessLookupError):
            one.send_signal(signal.SIGTERM)
    end = time.monotonic() + _END_WITHIN_S
    for one in running:
        try:
            one.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


def _refused(output: IO[str]) -> PipelineError:
    output.seek(0)
    lines = output.read().strip().splitlines()[-8:]
    said = "\n    ".join(lines)
    return PipelineError("ML-TRAIN-016", f"a worker of the search stopped:\n    {said}", "mlp train --workers 1")


def _died(deaths: int) -> PipelineError:
    message = f"{deaths} workers of the search were killed"
    return PipelineError("ML-TRAIN-017", message, "look for a lack of memory; fewer --workers need less")
