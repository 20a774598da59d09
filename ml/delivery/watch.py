"""Watches a release that has just got the traffic, until it has kept its promise or broken it.

Pure but for its `World`, which reads Prometheus, sends probes and keeps the time; the tests give it one of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from ml.delivery.analysis import Answer, Probed, Verdict, Window, look
from ml.delivery.counts import Pool, Reading, Totals
from ml.delivery.promise import Promise
from ml.delivery.scores import Known, Seen
from ml.drift.golden import without

PROBED_BY: Final = 0.7
"""Part of the time in which all probes are sent: the rest lets Prometheus scrape what they came to."""
LEAST: Final = 5
"""Probes of each look, however much clients send: they see what a client sees."""
BEFORE_S: Final = 600
"""The champion is compared by what it did in this long before the switch."""


class World(Protocol):
    """What the watch needs of the outside. A reading is None when Prometheus does not answer."""

    def candidate(self) -> Reading | None:
        """The candidate's counters now."""

    def champion(self, ago_s: float) -> Reading | None:
        """The champion's counters so many seconds ago; None as well where there is no champion."""

    def probe(self, count: int) -> Probed:
        """Send predictions through the live Service, one row each."""

    def wait_until(self, seconds: float) -> None:
        """Return so many seconds after the watch began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Releases:
    """Whose answers are compared with their references; None: they are not."""

    candidate: Known | None = None
    champion: Known | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Before:
    """What the champion did before the switch."""

    totals: Totals
    clients: Seen | None


def watch(
    world: World, promise: Promise, progress: Callable[[int, Verdict], None], releases: Releases = Releases()
) -> Verdict:
    """Look at the release until it fails, or until its time is up.

    Args:
        world: The outside.
        promise: What it must keep.
        progress: Called with every look and what it came to.
        releases: With their references, by which answers are judged.

    Returns:
        The last verdict. Where Prometheus did not answer the last question, it is inconclusive.
    """
    before = _before(world, promise, releases.champion)
    first = world.candidate()
    pool = None if first is None else Pool(first)
    probes, seen, verdict = Probed(), 0, _blind()
    for number in range(1, promise.looks + 1):
        probes += world.probe(max(_missing(promise, number, max(seen, probes.sent)), LEAST))
        world.wait_until(promise.seconds * number / promise.looks)
        now = world.candidate()
        if now is None:
            verdict = _blind()
        else:
            pool = Pool(now) if pool is None else pool
            pool.add(now)
            window = _window(pool, promise, probes, before, releases.candidate)
            seen = window.candidate.requests
            verdict = look(promise, window, number)
        progress(number, verdict)
        if verdict.outcome == "fail":
            break
    return verdict


def _before(world: World, promise: Promise, champion: Known | None) -> _Before:
    first, last = world.champion(BEFORE_S), world.champion(0)
    if last is None:
        return _Before(totals=Totals(), clients=None)
    pool = Pool(first or {})
    pool.add(last)
    return _Before(totals=pool.totals(promise.slow_s), clients=_clients(pool, champion, 0))


def _window(pool: Pool, promise: Promise, probes: Probed, before: _Before, candidate: Known | None) -> Window:
    return Window(
        candidate=pool.totals(promise.slow_s),
        champion=before.totals,
        probes=probes,
        clients=_clients(pool, candidate, probes.sent),
        before=before.clients,
    )


def _clients(pool: Pool, known: Known | None, probes: int) -> Seen | None:
    """What clients sent, without our own probes."""
    if known is None:
        return None
    return Seen(serving=known.serving, live=without(pool.live(known.release), known.serving, probes))


def _missing(promise: Promise, number: int, seen: int) -> int:
    """How many predictions to send before this look, so that there are enough in time, whatever clients send."""
    left = max(round(promise.looks * PROBED_BY) - number + 1, 0)
    return -(-max(promise.requests - seen, 0) // left) if left else 0


def _blind() -> Verdict:
    answer = Answer(
        question="counters",
        outcome="inconclusive",
        reason="live-no-metrics",
        value=None,
        limit=0.0,
        counts=(0, 0),
    )
    return Verdict(outcome="inconclusive", answers=(answer,))
