"""Whether a release's answers have moved away from where they lay in training, though its inputs have not. Pure.

Answers follow inputs: one client that repeats itself, or a storm over the airports, moves the answers of a good model
as far as a broken model does. So the question is asked only where inputs do not explain it. Stable features (role
`gate`) must lie where they did in training. Those that move by themselves (role `watch`: weather, weekdays) must lie
where the champion had them just before the switch, and the champion's own answers say how far those may move answers;
without a champion they must lie where they did in training as well. A question that is not asked holds no release up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ml.delivery.promise import Promise
from ml.drift.decide import judge
from ml.drift.live import Live, rows, section
from ml.drift.statistics import ks_p, tv_p
from ml.errors import DataError
from ml.statistics.live import Limits, Outcome, alpha_of

CLOSE: Final = 0.15
"""Inputs are as they were when no feature has more of its rows elsewhere than this share (see `ml.drift.decide`)."""
MOVED: Final = 2.0 * CLOSE
"""Answers may move so far. A client that repeats one row with share s of all moves the answers by s at most, and each
number by s / 2 at least: where the inputs are close, no such client reaches this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A release whose reference is known."""

    release: str
    serving: Mapping[str, Any]
    """Its `serving.json`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What clients sent to a release and were answered, in its bins."""

    serving: Mapping[str, Any]
    live: Live


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """What the question came to; `value` is None where it was not asked, and `said` then says why."""

    outcome: Outcome
    reason: str
    rows: int
    output: str = ""
    value: float | None = None
    limit: float = MOVED
    said: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Moved:
    """Shares of rows that lie elsewhere than in training, by feature and part; the answers' statistics by output."""

    rows: int
    stable: Mapping[str, float]
    watched: Mapping[str, float]
    answers: Mapping[str, Mapping[str, Any]]

    @property
    def is_stable(self) -> bool:
        return bool(self.stable) and max(self.stable.values()) <= CLOSE


def ask(promise: Promise, candidate: Seen | None, champion: Seen | None, number: int, alpha: float) -> Scored:
    """Judge the answers of the candidate.

    Args:
        promise: Has the least number of rows, and of looks.
        candidate: Since the switch; None where its reference is not known.
        champion: In a time before the switch, by its own reference; None where there is none.
        number: Which look this is, from 1 to `promise.looks`.
        alpha: Of the question over all looks.
    """
    now = _moved(candidate)
    if now is None or not now.answers or not now.stable:
        return _not_asked("live-scores-no-reference", 0 if now is None else now.rows, "no bins to compare with")
    if now.rows < promise.requests:
        return _not_asked("live-scores-too-few-rows", now.rows, f"asked from {promise.requests} rows of clients on")
    before = _moved(champion)
    if before is not None and (before.rows < promise.requests or not before.is_stable):
        before = None  # it cannot tell what is usual today
    name, distance = _farthest(now, before)
    if distance > CLOSE:
        since = "training" if before is None or name in now.stable else "the switch"
        return _not_asked("live-scores-inputs-moved", now.rows, f"{name} moved by {distance:.2f} since {since}")
    limit = MOVED if before is None else MOVED + max(map(_distance, before.answers.values()), default=0.0)
    spent = alpha_of(number, Limits(looks=promise.looks, alpha=alpha)) / len(now.answers)
    output, answers = max(now.answers.items(), key=lambda item: _distance(item[1]))
    value = _distance(answers)
    failed = value > limit and _chance(answers, value - limit) <= spent
    return Scored(
        outcome="fail" if failed else "pass",
        reason="live-scores-moved" if failed else "ok",
        rows=now.rows,
        output=output,
        value=value,
        limit=limit,
    )


def _not_asked(reason: str, seen: int, said: str) -> Scored:
    return Scored(outcome="pass", reason=reason, rows=seen, said=f"not asked: {said}")


def _moved(seen: Seen | None) -> _Moved | None:
    if seen is None:
        return None
    try:
        statistics = section(seen.serving, seen.live)
    except DataError:  # no bins that can be read, or counters that are no counts: nothing to compare
        return None
    # Every distance counts, whether beyond chance or not: too few rows to tell must not pass for close.
    inputs = judge({"features": statistics["features"]}, {"min_rows": 1, "min_d": CLOSE, "alpha": 1.0})
    # Without any row there is no distance: as far away as can be.
    effects = {test.name: 1.0 if test.effect is None else test.effect for test in inputs}
    roles = {test.name: test.role for test in inputs}
    return _Moved(
        rows=rows(seen.live),
        stable={name: effect for name, effect in effects.items() if roles[name] == "gate"},
        watched={name: effect for name, effect in effects.items() if roles[name] == "watch"},
        answers={
            name: {**one, "cells": len(seen.serving["predictions"][name]["counts"])}
            for name, one in statistics["prediction"].items()
            if one["n_current"] and one["n_reference"]
        },
    )


def _farthest(now: _Moved, before: _Moved | None) -> tuple[str, float]:
    usual = {} if before is None else before.watched
    distances = {**now.stable, **{name: value - usual.get(name, 0.0) for name, value in now.watched.items()}}
    return max(distances.items(), key=lambda item: item[1])


def _distance(answers: Mapping[str, Any]) -> float:
    return float(answers["tv" if answers["kind"] == "category" else "d"])


def _chance(answers: Mapping[str, Any], beyond: float) -> float:
    """An upper bound of the chance to see answers so far beyond a limit at which they are."""
    n, m = answers["n_reference"], answers["n_current"]
    # Distances are a metric: what is beyond the limit is at most how far the window is from its own distribution.
    return tv_p(beyond, answers["cells"], n, m) if answers["kind"] == "category" else ks_p(beyond, n, m)
