"""A whole watch against a world of numbers: what it reads, when it ends, and what it makes of silence."""

import pytest

from ml.delivery.analysis import Probed
from ml.delivery.promise import Promise
from ml.delivery.watch import LEAST, watch
from tests.ml.delivery.test_counts import requests

PROMISE = Promise(seconds=60, looks=20)


class World:
    """Clients send `rate` requests a second; from second `bad_from` on the share `bad` of all answers fails."""

    def __init__(self, *, rate=0.0, bad=0.0, bad_from=0.0, blind=(), champion=None, slow=0.0):
        self.rate, self.bad, self.bad_from, self.blind = rate, bad, bad_from, blind
        self.now, self.sent, self.failed, self.probes = 0.0, 0.0, 0.0, []
        self._champion, self.slow = champion, slow

    def candidate(self):
        if any(low <= self.now < high for low, high in self.blind):
            return None
        good, bad = self.sent - self.failed, self.failed
        rows = (("__name__", "ml_predictions_total"), ("instance", "1"), ("outcome", "ok"))
        timed = (("__name__", "ml_prediction_duration_seconds_count"), ("instance", "1"))
        fast = (("__name__", "ml_prediction_duration_seconds_bucket"), ("instance", "1"), ("le", "0.25"))
        return {requests("2xx"): good, requests("5xx"): bad, rows: self.sent, timed: self.sent, fast: self.sent}

    def champion(self, ago_s):
        return self._champion if ago_s == 0 else None

    def probe(self, count):
        self.probes.append(count)
        self._answer(count)
        failed = round(count * self.bad) if self.now >= self.bad_from else 0
        return Probed(sent=count, failed=failed, slow=round(count * self.slow))

    def wait_until(self, seconds):
        self._answer(self.rate * (seconds - self.now))
        self.now = seconds

    def _answer(self, count):
        self.sent += count
        if self.now >= self.bad_from:
            self.failed += count * self.bad


def run(world, promise=PROMISE):
    looks = []
    verdict = watch(world, promise, lambda number, seen: looks.append((number, seen.outcome)))
    return verdict, looks


def test_without_clients_probes_alone_let_a_good_release_pass():
    world = World()

    verdict, looks = run(world)

    assert verdict.outcome == "pass"
    assert len(looks) == 20
    assert sum(world.probes[:14]) == PROMISE.requests
    # the end of the watch is left to Prometheus
    assert world.probes[14:] == [LEAST] * 6


def test_with_enough_clients_hardly_anything_is_probed():
    world = World(rate=200)

    assert run(world)[0].outcome == "pass"
    assert sum(world.probes) < 150


def test_a_release_that_fails_at_once_is_found_in_one_look():
    verdict, looks = run(World(rate=100, bad=1.0))

    assert verdict.outcome == "fail"
    assert looks == [(1, "fail")]


def test_a_release_that_degrades_later_is_found_soon_after():
    verdict, looks = run(World(rate=100, bad=0.5, bad_from=20.0))

    assert verdict.outcome == "fail"
    assert looks[-1][0] <= 9


def test_a_little_is_found_before_the_time_is_up():
    verdict, looks = run(World(rate=100, bad=0.05))

    assert verdict.outcome == "fail"
    assert looks[-1][0] < 10


def test_prometheus_away_for_a_while_does_not_matter():
    assert run(World(rate=100, blind=[(10, 30)]))[0].outcome == "pass"


@pytest.mark.parametrize("blind", [[(0, 99)], [(57, 99)]])
def test_no_counters_at_the_end_are_inconclusive(blind):
    verdict, _ = run(World(rate=100, blind=blind))

    assert verdict.outcome == "inconclusive"
    assert verdict.deciding[0].reason == "live-no-metrics"


def test_probes_that_go_on_while_prometheus_is_away_are_bounded():
    world = World(blind=[(0, 99)])

    run(world)

    assert sum(world.probes) <= PROMISE.requests + PROMISE.looks * LEAST


def test_a_server_that_does_not_know_how_slow_it_is_is_found_by_the_probes():
    """One without a processor times its work and not the waiting before it."""
    verdict, looks = run(World(rate=200, slow=0.9))

    assert verdict.outcome == "fail"
    assert [answer.question for answer in verdict.deciding] == ["slow probes"]
    assert looks[-1][0] <= 5


def test_a_release_as_bad_as_allowed_but_worse_than_the_champion_fails():
    champion = {requests("2xx"): 100_000.0, requests("5xx"): 10.0}

    assert run(World(rate=1000, bad=0.005))[0].outcome == "pass"
    assert run(World(rate=1000, bad=0.005, champion=champion))[0].outcome == "fail"
