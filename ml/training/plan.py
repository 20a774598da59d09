"""How much to search and how: plain values that a command line, a stack's configuration and a record share. Pure."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Sampler = Literal["halton", "random", "tpe"]
SAMPLERS: Final[tuple[Sampler, ...]] = get_args(Sampler)
"""`halton` and `random` draw the same trials in every size of the search; `tpe` learns from finished trials, so its
trials depend on the order in which they finish."""

SEED: Final = 20130601  # any number; fixed, so that two people get the same model
DEFAULT_TRIALS: Final = 6  # about half a minute on two idle cores for the reference problem
DEFAULT_MINUTES: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """A budget and a way to draw.

    Attributes:
        trials: How many; 0 trains the estimator as it was written.
        minutes: No trial starts later than this after the start; one that runs is finished.
        workers: Processes on this machine; None: one for each core. 1 searches in this process.
        sampler: How the trials are drawn.
        resume: Whether a search that was cut short goes on; False begins anew.
    """

    trials: int = DEFAULT_TRIALS
    minutes: float = DEFAULT_MINUTES
    workers: int | None = None
    sampler: Sampler = "halton"
    resume: bool = True


NONE: Final = SearchPlan(trials=0)
