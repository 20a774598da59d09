"""A search's study in a database that several workers share: SQLite on one machine, the stack's Postgres in a cluster.

The trials are laid out in advance, one waiting row each, and a worker claims a row by one atomic change of its state.
So the budget is exact, whoever draws and whoever dies. Only this module, `storage` and `work` know Optuna.
"""

import os
import socket
import time
import warnings
from collections.abc import Mapping
from typing import Any, Final

import optuna
from optuna.trial import FrozenTrial, TrialState

from ml.errors import ConfigError, PipelineError, TransientError
from ml.training import ledger, space
from ml.training.failures import DUPLICATE
from ml.training.ledger import Attempt, State
from ml.training.plan import Sampler
from ml.training.space import Space
from ml.training.storage import INDEX, database, persist, pruner_of, sampler_of

_ATTEMPT, _CAUSE, _TRANSIENT, _WORKER = "attempt", "cause", "transient", "worker"
_TRIALS, _DEADLINE, _MATERIAL = "trials", "deadline", "material"
_STATES: Final[Mapping[TrialState, State]] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class Study:
    """One study as one worker sees it."""

    def __init__(self, url: str, name: str, *, sampler: Sampler, seed: int, password: str | None = None) -> None:
        self.name, self.sampler, self.seed = name, sampler, seed
        self._budget: int | None = None
        self._deadline = 0.0  # seconds since the epoch: workers on several machines share it
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._storage = persist(lambda: database(url, password))
        self._study = persist(
            lambda: optuna.create_study(
                study_name=name,
                storage=self._storage,
                direction="minimize",
                load_if_exists=True,
                sampler=sampler_of(sampler, seed),
                pruner=pruner_of(sampler),
            )
        )

    def lay_out(  # noqa: PLR0913  (all keyword-only but the space and the estimator as written)
        self,
        dimensions: Space,
        given: Mapping[str, space.Value],
        *,
        trials: int,
        minutes: float,
        material: str,
        again: bool = False,
    ) -> None:
        """Make the rows of trials 0 to `trials` - 1 that are not there yet, and start the clock.

        `again` lets a clock go on that has not run out: the first worker of a cluster may die and come back.

        Raises:
            ConfigError: If the study was begun on other rows.
        """
        known = self._attribute(_MATERIAL)
        if known not in (None, material):
            message = f"study {self.name}: it searches on other rows ({str(known)[:12]}) than these ({material[:12]})"
            raise ConfigError("ML-TRAIN-014", message, "give the search another name")
        there = {trial.index for trial in self.trials()}
        for index in range(trials):
            if index not in there:
                self._enqueue(self._point(dimensions, given, index), index=index, attempt=1)
        running = float(self._attribute(_DEADLINE) or 0) if again else 0.0
        self._deadline, self._budget = running if running > time.time() else time.time() + minutes * 60, trials
        self._set(_MATERIAL, material)
        self._set(_DEADLINE, self._deadline)
        self._set(_TRIALS, trials)  # last: whoever sees it finds every row

    def wait_until_laid_out(self, material: str, *, timeout_s: float) -> None:
        """For every worker but the one that lays out.

        Raises:
            TransientError: If nobody does so in time.
            ConfigError: If the study is about other rows: another data version, or another problem.
        """
        end = time.monotonic() + timeout_s
        while self._attribute(_TRIALS) is None:
            if time.monotonic() > end:
                message = f"study {self.name}: nobody laid out its trials within {timeout_s:.0f} s"
                raise TransientError("ML-TRAIN-013", message, "look at the worker with index 0")
            time.sleep(0.5)
        if self._attribute(_MATERIAL) != material:
            message = f"study {self.name}: this worker's rows ({material[:12]}) are not those of the study"
            raise ConfigError("ML-TRAIN-014", message, "run every worker on the same image and data")
        self._deadline, self._budget = float(self._attribute(_DEADLINE)), int(self._attribute(_TRIALS))

    def attempts(self) -> list[Attempt]:
        """Every row."""
        rows = persist(lambda: self._study.get_trials(deepcopy=False))
        return [attempt_of(row) for row in rows if INDEX in row.user_attrs]

    def trials(self) -> list[ledger.Trial]:
        """Every trial with its attempts, up to the budget."""
        budget, found = self._budget, ledger.trials(self.attempts())
        return found if budget is None else [trial for trial in found if trial.index < budget]

    def heal(self) -> None:
        """Declare trials of dead workers failed, and lay out again whatever is due for another attempt."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            persist(lambda: optuna.storages.fail_stale_trials(self._study))
        for trial in self.trials():
            if trial.is_due:
                last = trial.attempts[-1]
                self._enqueue(last.parameters, index=trial.index, attempt=last.attempt + 1)

    def claim(self) -> optuna.Trial | None:
        """The next trial, now running and ours; None if there is none to start.

        The estimator as written comes first and alone: the others are judged against it.

        Raises:
            PipelineError: If that one cannot be trained at all.
        """
        trials = self.trials()
        first = trials[0]
        if first.is_over and first.final.state != "complete":
            message = f"the estimator as written cannot be trained: {first.final.cause}"
            raise PipelineError("ML-TRAIN-012", message, "mlp train --trials 0 shows the whole error")
        if self.is_late():
            return None
        waiting = [a for trial in trials for a in trial.attempts if a.state == "waiting"]
        for one in waiting:
            if (first.is_over or one.index == 0) and (mine := self._take(one)) is not None:
                return mine
        return None

    def is_late(self) -> bool:
        """Whether the minutes are spent."""
        return time.time() > self._deadline

    def is_over(self) -> bool:
        """Whether nothing runs and nothing may start."""
        trials = self.trials()
        if any(a.state == "running" for trial in trials for a in trial.attempts):
            return False
        return self.is_late() or all(trial.is_over for trial in trials)

    def seconds_left(self) -> float:
        """Until no trial may start any more."""
        return max(0.0, self._deadline - time.time())

    def beat(self, trial: optuna.Trial) -> None:
        """Say that this worker lives."""
        self._storage.record_heartbeat(trial._trial_id)  # noqa: SLF001  (the storage's own methods take this number)

    def complete(self, trial: optuna.Trial, value: float) -> None:
        """The trial's value; dropped if the trial was taken for dead meanwhile and is somebody else's now."""
        self._tell(trial, value, TrialState.COMPLETE)

    def prune(self, trial: optuna.Trial) -> None:
        """Given up after some folds."""
        self._tell(trial, None, TrialState.PRUNED)

    def fail(self, trial: optuna.Trial, cause: str, *, transient: bool) -> None:
        """Failed, with the cause in words."""
        trial_id = trial._trial_id  # noqa: SLF001
        try:
            persist(lambda: self._storage.set_trial_user_attr(trial_id, _CAUSE, cause))
            persist(lambda: self._storage.set_trial_user_attr(trial_id, _TRANSIENT, transient))
        except optuna.exceptions.UpdateFinishedTrialError:
            return
        self._tell(trial, None, TrialState.FAIL)

    def _take(self, one: Attempt) -> optuna.Trial | None:
        rows = persist(lambda: self._study.get_trials(deepcopy=False))
        trial_id = rows[one.number]._trial_id  # noqa: SLF001
        # Before the claim: a worker that dies right after it would otherwise leave a row that never counts as stale.
        persist(lambda: self._storage.record_heartbeat(trial_id))
        try:
            if not persist(lambda: self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)):
                return None
        except optuna.exceptions.UpdateFinishedTrialError:
            return None
        trial = optuna.Trial(self._study, trial_id)
        if ledger.is_duplicate(one, self.attempts()):
            self.fail(trial, DUPLICATE, transient=False)
            return None
        persist(lambda: trial.set_user_attr(_WORKER, f"{socket.gethostname()}/{os.getpid()}"))
        return trial

    def _tell(self, trial: optuna.Trial, value: float | None, state: TrialState) -> None:
        row = persist(lambda: self._storage.get_trial(trial._trial_id))  # noqa: SLF001
        if row.state is TrialState.RUNNING:
            persist(lambda: self._study.tell(trial, value, state, skip_if_finished=True))

    def _point(self, dimensions: Space, given: Mapping[str, space.Value], index: int) -> Mapping[str, Any]:
        if index == 0:
            return given
        return {} if self.sampler == "tpe" else space.point(dimensions, self.sampler, self.seed, index)

    def _enqueue(self, parameters: Mapping[str, Any], *, index: int, attempt: int) -> None:
        attributes = {INDEX: index, _ATTEMPT: attempt}
        persist(lambda: self._study.enqueue_trial(dict(parameters), user_attrs=attributes))

    def _attribute(self, name: str) -> Any:
        return persist(lambda: self._study.user_attrs).get(name)

    def _set(self, name: str, value: object) -> None:
        persist(lambda: self._study.set_user_attr(name, value))


def parameters(trial: optuna.Trial, dimensions: Space) -> dict[str, Any]:
    """The trial's point: what was laid out, or what the sampler suggests now."""
    found: dict[str, Any] = {}
    for one in dimensions:
        if isinstance(one, space.Choice):
            found[one.name] = trial.suggest_categorical(one.name, list(one.values))
        elif isinstance(one, space.Whole):
            found[one.name] = trial.suggest_int(one.name, one.low, one.high, log=one.log)
        else:
            found[one.name] = trial.suggest_float(one.name, one.low, one.high, log=one.log)
    return found


def attempt_of(row: FrozenTrial) -> Attempt:
    """A row of the study in our words."""
    attributes = row.user_attrs
    return Attempt(
        number=row.number,
        index=attributes[INDEX],
        attempt=attributes[_ATTEMPT],
        state=_STATES[row.state],
        parameters={**row.system_attrs.get("fixed_params", {}), **row.params},
        value=row.value if row.state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        cause=attributes.get(_CAUSE),
        transient=attributes.get(_TRANSIENT, True),
    )
