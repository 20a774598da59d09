"""`python3 -m ml.training.worker`: one worker of a search, as a process on this machine or as a pod in a cluster.

On this machine the search has laid out the trials and written the rows to a file. In a cluster every pod reads the data
itself, and the one with index 0 lays out the trials; all of them refuse to go on with other rows than the study's.
"""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from ml.errors import ConfigError, PipelineError
from ml.problem import Problem, by_package
from ml.training import objective, space
from ml.training.failures import InterruptedTrialError
from ml.training.inputs import prepare
from ml.training.objective import Material
from ml.training.plan import DEFAULT_MINUTES, DEFAULT_TRIALS, SAMPLERS, SearchPlan
from ml.training.search import Found, found
from ml.training.study import Study
from ml.training.work import Check, work

INDEX = "JOB_COMPLETION_INDEX"
"""Kubernetes sets it in every pod of an Indexed Job."""
_LAID_OUT_WITHIN_S = 300  # the first pod may have to pull its image while the others have theirs


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until the study is over; returns the exit code as `ml.errors` says, 7 when asked to stop."""
    given = _parser().parse_args(arguments)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())
    try:
        problem = by_package(given.problem)
        rows = _rows(given, problem)
        password = None if given.password_file is None else _password(given.password_file)
        study = Study(given.storage, given.study, sampler=given.sampler, seed=given.seed, password=password)
        plan = SearchPlan(trials=given.trials, minutes=given.minutes, sampler=given.sampler)
        first = given.material is None and os.environ.get(INDEX, "0") == "0"
        if first:
            known = space.given(problem.estimator, problem.space)
            study.lay_out(
                problem.space, known, trials=plan.trials, minutes=plan.minutes, material=rows.sha256(), again=True
            )
        else:
            study.wait_until_laid_out(rows.sha256(), timeout_s=_LAID_OUT_WITHIN_S)
        work(study, problem, rows, check=_stopped(stop, given.parent), told=lambda: _say(study))
        if first:
            _finish(found(problem, study, plan), given.result)
    except PipelineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m ml.training.worker", description=__doc__)
    parser.add_argument("--problem", required=True, help="the problem's package, such as ml.example")
    parser.add_argument("--study", required=True, help="its name")
    parser.add_argument("--storage", required=True, help="address of the study's database, without a password")
    parser.add_argument("--password-file", type=Path, help="holds the database's password")
    parser.add_argument("--sampler", required=True, choices=SAMPLERS)
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--trials", type=int, default=DEFAULT_TRIALS)
    parser.add_argument("--minutes", type=float, default=DEFAULT_MINUTES)
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument("--material", type=Path, help="the training rows, as ml.training.search wrote them")
    rows.add_argument("--through", help="last month to train on; without --material, the data are loaded")
    parser.add_argument("--parent", type=int, help="stop when this process is no longer the parent")
    parser.add_argument("--result", type=Path, help="the first worker writes the search's section here")
    return parser


def _rows(given: argparse.Namespace, problem: Problem) -> Material:
    if given.material is not None:
        return objective.read(given.material)
    inputs = prepare(problem, given.through, seed=given.seed, progress=lambda step: print(step, flush=True))
    return objective.material(problem, inputs, seed=given.seed)


def _password(path: Path) -> str:
    text = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    if not text:
        raise ConfigError("ML-TRAIN-019", f"{path}: is missing or empty", "mount the Secret training-auth there")
    return text


def _stopped(stop: threading.Event, parent: int | None) -> Check:
    """Stop after the fold that runs: when asked by SIGTERM, or when the search that started this worker is gone."""

    def check() -> None:
        if stop.is_set() or (parent is not None and os.getppid() != parent):
            raise InterruptedTrialError

    return check


def _say(study: Study) -> None:
    over = sum(trial.is_over for trial in study.trials())
    print(f"search {study.name}: {over} of {len(study.trials())} trials", flush=True)


def _finish(result: Found, file: Path | None) -> None:
    print(json.dumps({"search": result.section, "trials": result.trials}, sort_keys=True), flush=True)
    if file is not None:
        file.write_text(json.dumps(result.section, sort_keys=True), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
