"""Every trial of a study accounted for: what its attempts came to, what is due again, what is best. Pure.

A *trial* is one point of the space, numbered from 0. An *attempt* is one row of the study: a trial whose worker died
has several. Works on `Attempt`, so it knows no search library.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ml.training.failures import DUPLICATE, LOST, MAX_ATTEMPTS

State = Literal["waiting", "running", "complete", "pruned", "failed"]
_WON = ("complete", "pruned")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One row of the study.

    Attributes:
        number: Of the row, in order of creation.
        index: Of the trial.
        value: Of a complete one.
        cause: Of a failed one, in words; None if nobody could say so: its worker died.
        transient: Of a failed one: whether the cause may pass. A dead worker's is.
    """

    number: int
    index: int
    attempt: int
    state: State
    parameters: Mapping[str, Any]
    value: float | None = None
    cause: str | None = None
    transient: bool = True


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial with all its attempts in order."""

    index: int
    attempts: tuple[Attempt, ...]

    @property
    def final(self) -> Attempt:
        """The attempt that counts: the first that ended well, else the last."""
        return next((one for one in self.attempts if one.state in _WON), self.attempts[-1])

    @property
    def is_due(self) -> bool:
        """Whether it must be tried again: every attempt ended, none well, the last by something that may pass."""
        last = self.attempts[-1]
        ended = all(one.state == "failed" for one in self.attempts)
        return ended and last.transient and last.attempt < MAX_ATTEMPTS

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.final.state in _WON or (all(one.state == "failed" for one in self.attempts) and not self.is_due)


def trials(attempts: Iterable[Attempt]) -> list[Trial]:
    """The trials in order of their index; attempts that were only duplicates are left out."""
    by_index: dict[int, list[Attempt]] = {}
    for one in sorted(attempts, key=lambda a: a.number):
        if one.cause != DUPLICATE:
            by_index.setdefault(one.index, []).append(one)
    return [Trial(index=index, attempts=tuple(found)) for index, found in sorted(by_index.items())]


def is_duplicate(mine: Attempt, attempts: Iterable[Attempt]) -> bool:
    """Whether an earlier row is the same attempt of the same trial: two workers noticed one death at once."""
    same = (mine.index, mine.attempt)
    return any((a.index, a.attempt) == same and a.number < mine.number and a.cause != DUPLICATE for a in attempts)


def counts(found: Iterable[Trial]) -> dict[str, int]:
    """How the trials ended; the first four add up to all of them, `retried` counts attempts beyond the first."""
    listed = list(found)
    states = [trial.final.state if trial.is_over else "not_started" for trial in listed]
    ended = {state: states.count(state) for state in ("complete", "pruned", "failed", "not_started")}
    return {**ended, "retried": sum(len(trial.attempts) - 1 for trial in listed)}


def best(found: Iterable[Trial]) -> Attempt | None:
    """The complete trial with the lowest value; of equal ones the earliest, whoever finished first."""
    complete = [trial.final for trial in found if trial.final.state == "complete" and trial.final.value is not None]
    return min(complete, key=lambda a: (a.value, a.index), default=None)


def compact(found: Iterable[Trial]) -> list[dict[str, Any]]:
    """One line a trial, for the tracking server: index, how it ended, value, parameters, attempts and causes."""
    return [
        {
            "trial": trial.index,
            "state": trial.final.state if trial.is_over else "not_started",
            "value": trial.final.value,
            "parameters": dict(trial.final.parameters),
            "attempts": len(trial.attempts),
            "causes": [a.cause or LOST for a in trial.attempts if a.state == "failed"],
        }
        for trial in found
    ]
