"""How a study is kept and drawn with Optuna: the database, the sampler, the pruner, and patience with the database."""

import time
import warnings
from collections.abc import Callable
from typing import Any, Final, TypeVar

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from ml.errors import TransientError
from ml.training.plan import Sampler

INDEX: Final = "index"
"""Attribute of a row: the number of its trial."""
HEARTBEAT_S: Final = 3
GRACE_S: Final = 15  # without a heartbeat for so long a worker counts as dead
PRUNE_SLACK: Final = 0.01
"""Share by which a trial may be worse than the estimator as written before it is given up."""

_PATIENCE_S: Final = (0.5, 1, 2, 4, 8, 16, 30)  # between tries to reach the database: a minute in all
T = TypeVar("T")


class AgainstGiven(optuna.pruners.BasePruner):
    """Gives a trial up when its mean so far is worse than that of the estimator as written over the same folds.

    That trial is always finished first, so the decision depends on no other trial: the same ones are given up in every
    size of the search. Optuna's own pruners compare with whatever has finished by then.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to give up after the fold that was reported last."""
        step = trial.last_step
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        first = next((one for one in done if one.user_attrs.get(INDEX) == 0), None)
        if step is None or first is None or trial.user_attrs.get(INDEX) == 0:
            return False
        known = first.intermediate_values.get(step)
        return known is not None and trial.intermediate_values[step] > known + PRUNE_SLACK * abs(known)


def persist(call: Callable[[], T]) -> T:
    """Call the database; while it does not answer, wait and try again for a minute.

    Raises:
        TransientError: If it still does not.
    """
    for pause in _PATIENCE_S:
        try:
            return call()
        except (optuna.exceptions.StorageInternalError, SQLAlchemyError):
            time.sleep(pause)
    try:
        return call()
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        # Never the error's text: it may hold the address with its user, and the statement with its values.
        message = f"the study's database does not answer: {type(error).__name__}"
        raise TransientError("ML-TRAIN-013", message, "start the search again: it goes on") from None


def database(url: str, password: str | None) -> RDBStorage:
    """The database behind an address; its tables are made if they are not there."""
    # Apart from the address, which appears in messages.
    arguments: dict[str, Any] = {"timeout": 60} if url.startswith("sqlite") else {"password": password}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return RDBStorage(
            url,
            engine_kwargs={"pool_pre_ping": True, "connect_args": arguments},
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
        )


def sampler_of(sampler: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    """What draws the trials that are not laid out with their points."""
    if sampler != "tpe":
        return optuna.samplers.RandomSampler(seed=seed)  # never asked: every point is laid out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=4, constant_liar=True)


def pruner_of(sampler: Sampler) -> optuna.pruners.BasePruner:
    """The one whose decisions depend on no order, where the trials do not either."""
    return optuna.pruners.MedianPruner(n_startup_trials=4) if sampler == "tpe" else AgainstGiven()
