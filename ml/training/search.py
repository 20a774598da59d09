"""The hyper-parameter search on this machine: in this process, or in one worker process for each core.

The study lies in a file under `.build/search`, so a search that was killed goes on where it stopped. The cluster's
size of the same search is `infra.workloads.training`; the trials, the worker and the ledger are the same.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.errors import PipelineError
from ml.problem import Problem
from ml.training import cache, ledger, objective, pool, space
from ml.training.inputs import Inputs, Progress
from ml.training.plan import SearchPlan
from ml.training.study import Study
from ml.training.work import work
from toolchain import locks


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found."""

    section: Mapping[str, Any]
    """The record's `search`."""
    trials: list[dict[str, Any]]
    """One line each, for the tracking server."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The winner's."""
        return dict(self.section["best"]["parameters"])


def search(  # noqa: PLR0913  (keyword-only: what it works on, how much, where it is kept, who is told)
    problem: Problem, inputs: Inputs, plan: SearchPlan, *, seed: int, folder: Path, made_from: Mapping[str, Any],
    progress: Progress,
) -> Found:  # fmt: skip
    """Search on the training rows.

    Args:
        problem: With a space.
        inputs: Only their training side is looked at.
        plan: At least one trial.
        seed: Of the points, the folds and the estimator.
        folder: Where studies are kept.
        made_from: Data, code and environment: part of the study's name, so that only the same search is resumed.
        progress: Told the best value and the time left whenever a trial has ended.

    Raises:
        PipelineError: If the estimator as written cannot be trained, or the workers die again and again.
        ConfigError: If the space does not fit the estimator.
    """
    given = space.given(problem.estimator, problem.space)
    rows = objective.material(problem, inputs, seed=seed)
    identity = {**made_from, "space": space.described(problem.space), "sampler": plan.sampler}
    name = f"{problem.name}-{plan.sampler}-{cache.key(identity)[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    database, stored = folder / f"{name}.db", folder / f"{name}.npz"
    with locks.held(folder / f"{name}.lock", lambda pid: progress(f"search {name}: waiting for process {pid}")):
        if not plan.resume:
            database.unlink(missing_ok=True)
        study = Study(f"sqlite:///{database}", name, sampler=plan.sampler, seed=seed)
        study.lay_out(problem.space, given, trials=plan.trials, minutes=plan.minutes, material=rows.sha256())
        watch = _Watch(study, objective.metric(problem), progress)
        count = min(plan.workers or len(os.sched_getaffinity(0)), plan.trials)
        if count == 1:
            work(study, problem, rows, told=watch.tell)
        else:
            objective.save(rows, stored)
            pool.run(study, problem.package, database, stored, workers=count, told=watch.tell)
            stored.unlink()
    return found(problem, study, plan)


def found(problem: Problem, study: Study, plan: SearchPlan) -> Found:
    """The record's section for a study that is over.

    Raises:
        PipelineError: If no trial was completed within the minutes.
    """
    trials = study.trials()
    best = ledger.best(trials)
    if best is None:
        message = f"the search completed no trial within {plan.minutes:g} minutes"
        raise PipelineError("ML-TRAIN-015", message, "allow more --minutes, or --trials 0 for the estimator as written")
    section = {
        "study": study.name,
        "sampler": plan.sampler,
        "seed": study.seed,
        "metric": objective.metric(problem),
        "direction": "minimize",
        "budget": {"trials": plan.trials, "minutes": plan.minutes},
        "trials": ledger.counts(trials),
        "best": {"trial": best.index, "value": best.value, "parameters": dict(best.parameters)},
        "given": {"value": trials[0].final.value, "parameters": dict(trials[0].final.parameters)},
    }
    return Found(section=section, trials=ledger.compact(trials))


class _Watch:
    """One line a finished trial: how many, the best value, the time that is left."""

    def __init__(self, study: Study, metric: str, progress: Progress) -> None:
        self._study, self._metric, self._progress = study, metric, progress
        self._started, self._before = time.monotonic(), sum(trial.is_over for trial in study.trials())
        self._shown = -1

    def tell(self) -> None:
        trials = self._study.trials()
        over, best = sum(trial.is_over for trial in trials), ledger.best(trials)
        if over == self._shown:
            return
        self._shown = over
        new = over - self._before
        if not new:
            self._progress(f"search: {over} of {len(trials)} trials so far, {self._study.seconds_left():.0f} s at most")
            return
        pace = (time.monotonic() - self._started) / new
        left = min(pace * (len(trials) - over), self._study.seconds_left())
        value = "none yet" if best is None else f"{best.value:.5f} (trial {best.index})"
        self._progress(f"search: {over} of {len(trials)} trials, best {self._metric} {value}, about {left:.0f} s left")
