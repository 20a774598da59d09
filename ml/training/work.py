"""One worker: claim a trial, measure it, say how it ended; until nothing is left. The same in every size."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import optuna

from ml.problem import Problem
from ml.training import study as studies
from ml.training.failures import InterruptedTrialError, concerns_one_trial, kind_of, words
from ml.training.objective import Material, evaluate
from ml.training.storage import HEARTBEAT_S, persist
from ml.training.study import Study

POLL_S = 0.5
Check = Callable[[], None]
"""Raises `InterruptedTrialError` when this worker has to stop; asked between folds and between trials."""


def _never() -> None:
    """Nobody stops this worker."""


def work(
    study: Study,
    problem: Problem,
    rows: Material,
    *,
    check: Check = _never,
    told: Callable[[], None] = lambda: None,
) -> None:
    """Work until the study is over; `told` is called whenever a trial has ended.

    Raises:
        InterruptedTrialError: If `check` said so; the trial that ran is due again.
        PipelineError: If the problem or its data are at fault, or the study's database is gone.
    """
    while True:
        check()
        study.heal()
        trial = study.claim()
        if trial is not None:
            _run(study, problem, rows, trial, check)
            told()
        elif study.is_over():
            return
        else:
            time.sleep(POLL_S)


def _run(study: Study, problem: Problem, rows: Material, trial: optuna.Trial, check: Check) -> None:
    def report(fold: int, value: float) -> None:
        check()
        if not math.isfinite(value):
            raise ValueError(f"fold {fold}: the metric is {value}")
        persist(lambda: trial.report(value, fold))
        if fold < len(rows.folds) - 1 and persist(trial.should_prune):
            raise optuna.TrialPruned

    try:
        with _beating(study, trial):
            parameters = studies.parameters(trial, problem.space)
            value = evaluate(problem, rows, parameters, seed=study.seed, report=report)
    except optuna.TrialPruned:
        study.prune(trial)
    except optuna.exceptions.UpdateFinishedTrialError:
        return  # we were taken for dead, and somebody else has the trial now
    except InterruptedTrialError as stop:
        study.fail(trial, words(stop), transient=True)
        study.heal()
        raise
    except Exception as error:
        study.fail(trial, words(error), transient=kind_of(error) == "transient")
        if not concerns_one_trial(error):
            raise
    else:
        study.complete(trial, value)


@contextmanager
def _beating(study: Study, trial: optuna.Trial) -> Iterator[None]:
    """Heartbeats in a thread; a missed one is no failure, the next may get through."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_S):
            with suppress(Exception):
                study.beat(trial)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
