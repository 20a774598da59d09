"""More than the pods can do, and an autoscaler that does not see it."""

import http.client
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest

from tests.e2e.bench import Bench, without
from tests.e2e.matrix import autoscaler
from tests.e2e.matrix.overload import Outcome, Plan, load
from tests.e2e.matrix.rows import Row, row
from tests.e2e.matrix.waits import until
from tests.e2e.reads import STAGING, prometheus
from tests.e2e.traffic import predict
from tests.e2e.two_releases import PORT

pytestmark = pytest.mark.e2e

ROWS_A_REQUEST, CLIENTS, MOST_ON_THEIR_WAY = 500, 24, 400
RECOVERY_S, SCALING_S = 10.0, 90.0
CALM_S = 180.0
"""Until an autoscaler has seen that the load of the row before is over."""
UNNOTICED_S = 0.1
"""Below it a p95 of two busy processors is the scheduler's, not the server's."""
MOST_LOST = 0.01
"""Of those sent under overload, without any answer: pods that the Service leaves out for a moment."""
ALERTS_S = 240.0
"""The autoscaler looks, its state is scraped, the alert waits for two minutes."""


def test_row_44_more_than_the_pods_can_do(bench: Bench) -> None:
    with row(44, "three times what the pods can do for 20 s, then ten times for 5 s") as result:
        slot = bench.live()
        bench.whole(slot)
        least = _calm(bench, slot)
        restarts, rows = bench.restarts(slot), list(itertools.islice(itertools.cycle(bench.rows), ROWS_A_REQUEST))
        with bench.clients() as before:
            time.sleep(5)
        with autoscaler.Watch(bench, slot) as watch:
            capacity = load(PORT, bench.key, rows, Plan(seconds=10, at_once=CLIENTS))
            thrice, tenfold = (
                load(PORT, bench.key, rows, Plan(seconds=s, at_once=MOST_ON_THEIR_WAY, hertz=times * capacity.good_hz))
                for s, times in ((20, 3), (5, 10))
            )
            ended = time.monotonic()
            recovered_s = _recovered(bench, ended)
            time.sleep(max(0.0, ended + RECOVERY_S - time.monotonic()))
            with bench.clients() as after:
                time.sleep(10)
            more = _until_it_rises(bench, watch, least, ended + SCALING_S, rows)
        told = {"capacity": capacity, "three times": thrice, "ten times": tenfold}
        result.facts |= {name: _told(outcome) for name, outcome in told.items()}
        result.facts |= {
            "recovered_s": recovered_s,
            "more_loads": more,
            "pods_wanted": watch.desired,
            "pods_ready": watch.ready,
        }
        result.facts |= {"p95_s": after.seen.p95_s, "p95_before_s": before.seen.p95_s}

        _shed(result, "three times", thrice)
        _shed(result, "ten times", tenfold)
        assert bench.restarts(slot) == restarts, f"containers were started again: {bench.restarts(slot) - restarts}"
        assert recovered_s <= RECOVERY_S, f"calls were answered again only {recovered_s} s after the load had ended"
        usual_s = max(3 * before.seen.p95_s, UNNOTICED_S)
        assert after.seen.p95_s <= usual_s, f"p95 {after.seen.p95_s} s, before {before.seen.p95_s} s"
        result.lost_nothing(after.seen)
        assert max(watch.desired) > least, f"the autoscaler wanted {watch.desired} pods, never more than {least}"
        wanted = autoscaler.replicas(bench, slot)
        until("every pod is ready", lambda: autoscaler.ready(bench, slot), lambda found: found >= wanted, 120)


def _calm(bench: Bench, slot: str) -> int:
    """Wait until the autoscaler could still add a pod; how many it wants."""
    most = int(autoscaler.autoscaler(bench, slot)["spec"]["maxReplicas"])
    what = f"the autoscaler wants fewer pods than the {most} that it may have"
    with autoscaler.hasty(bench, slot):
        return until(what, lambda: autoscaler.desired(bench, slot), lambda found: 0 < found < most, CALM_S, 5)


def _recovered(bench: Bench, since: float) -> float:
    """How long after this moment the last call failed, of a client that calls five times a second."""
    body, failed_at = json.dumps({"features": bench.rows[0]}), since
    while time.monotonic() < since + RECOVERY_S:
        try:
            predict(PORT, bench.key, body)
        except (OSError, http.client.HTTPException, ValueError):
            failed_at = time.monotonic()
        time.sleep(0.2)
    return round(failed_at - since, 2)


def _told(outcome: Outcome) -> dict[str, Any]:
    """What a person wants to know of it, without what JSON cannot say."""
    facts = asdict(outcome) | {"good_hz": outcome.good_hz}
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in facts.items()}
    return {name: value for name, value in rounded.items() if value == value}  # noqa: PLR0124  (NaN: there were none)


def _until_it_rises(
    bench: Bench, watch: autoscaler.Watch, least: int, end: float, rows: Sequence[Sequence[Any]]
) -> int:
    """An autoscaler looks every 15 s at figures of the last 15 s: how many more loads it needed to see one."""
    more = 0
    while not watch.rises(least, min(20.0, end - time.monotonic())) and time.monotonic() < end:
        load(PORT, bench.key, rows, Plan(seconds=20, at_once=CLIENTS))
        more += 1
    return more


def _shed(result: Row, what: str, outcome: Outcome) -> None:
    """It was really more than they could do, and what was too much was told to come again."""
    sent = outcome.offered - outcome.unsent
    result.control(f"{what}: more was sent than they could do", sent > outcome.good, f"{outcome.good} of {sent}")
    assert outcome.shed, f"{what}: nothing was shed: {outcome}"
    assert set(outcome.statuses) <= {"200", "429", "503"}, f"{what}: another kind of answer: {outcome.statuses}"
    assert outcome.retry_after == outcome.shed, f"{what}: each must say when to come again: {outcome}"
    assert outcome.good, f"{what}: nothing was answered: {outcome}"
    assert outcome.lost <= MOST_LOST * sent, f"{what}: {outcome.lost} of {sent} got no answer: {outcome.words}"


def test_row_45_the_metrics_api_is_down(bench: Bench) -> None:
    with row(45, "metrics-server is killed until the alert fires, while there is one pod too many") as result:
        slot = bench.live()
        bench.whole(slot)
        _calm(bench, slot)
        most = int(autoscaler.autoscaler(bench, slot)["spec"]["maxReplicas"])
        with bench.clients() as clients, autoscaler.hasty(bench, slot):
            with without(bench.machine, "metrics-server"):
                _blind(bench, slot, result)
                scale = ("scale", f"deployment/model-{slot}", "-n", STAGING, f"--replicas={most}")
                bench.machine.run("kubectl", *scale)
                held: list[int] = []

                def look() -> float:
                    held.append(autoscaler.replicas(bench, slot))
                    return _alert(bench, slot)

                until("the alert AutoscalerBlind fires", look, lambda firing: firing == 1, ALERTS_S, 5)
            result.facts["pods_while_blind"] = held
            seeing = until(
                "it sees again", lambda: _active(bench, slot), lambda found: found.startswith("True"), 120, 5
            )
            result.facts["afterwards"] = seeing
            less = until(
                f"with figures it takes the pod away again, of {most}",
                lambda: autoscaler.replicas(bench, slot),
                lambda found: found < most,
                150,
                5,
            )
            result.control("with figures it would have taken a pod away", less < most, less)
            until("the alert is over", lambda: _alert(bench, slot), lambda firing: firing == 0, ALERTS_S, 5)
            bench.whole(slot)
        assert len(held) >= 10, f"it was looked at only {len(held)} times"
        assert set(held) == {most}, f"a blind autoscaler changed the number of pods: {held}"
        result.lost_nothing(clients.seen)


def _active(bench: Bench, slot: str) -> str:
    return autoscaler.condition(bench, slot, "ScalingActive")


def _alert(bench: Bench, slot: str) -> float:
    labels = f'alertname="AutoscalerBlind",alertstate="firing",horizontalpodautoscaler="model-{slot}"'
    return prometheus(bench.machine, f"ALERTS{{{labels}}}")


def _blind(bench: Bench, slot: str, result: Row) -> None:
    """The controls: nobody gets figures, and the autoscaler says so."""
    top = ("kubectl", "top", "pods", "-n", STAGING)
    failed = until(
        "kubectl top pods fails",
        lambda: bench.machine.run(*top, check=False, timeout_s=60),
        lambda done: done.returncode != 0,
        60,
    )
    result.control("kubectl top pods fails", failed.returncode != 0, failed.stdout.strip()[-200:])
    said = until("ScalingActive is False", lambda: _active(bench, slot), lambda found: found.startswith("False"), 90, 3)
    result.control("the autoscaler says that it sees nothing", said.startswith("False"), said)
