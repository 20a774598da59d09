"""A slot that has grown loses the traffic: the other one is as big before it gets it, or the traffic stays.

Not part of `make test`: some three minutes on a stack that is up. `make e2e-capacity`; what was measured lies in
`.build/drills/capacity.json`.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.names import RAISED_ANNOTATION
from tests.e2e.bench import Bench, prepare
from tests.e2e.clients import Load
from tests.e2e.drills import UP, keep
from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING, eventually

pytestmark = pytest.mark.e2e

LEAST, GROWN = 3, 4  # the minimum and the maximum of the local stacks
LOAD = Load(kept=2, fresh=1, pause_s=0.05, piped_hz=0, limit=100_000)
TWO_LOOKS_S = 35  # the autoscaler looks every 15 s
MEASURED: dict[str, Any] = {}


@pytest.fixture(scope="module")
def bench(machine: Machine) -> Iterator[Bench]:
    """Green has the traffic and has grown; blue, which the configuration names next, stands at its minimum."""
    stack = prepare(machine)
    _patch(machine, "hpa", "model-green", {"spec": {"minReplicas": GROWN}})
    eventually(lambda: _ready(machine, "green") == GROWN, 90)
    # The control: blue is smaller, and would stay so.
    eventually(lambda: (_ready(machine, "blue"), _least(machine, "blue")) == (LEAST, LEAST), 90)
    machine.run("mlp", "rollback", "--stack", "staging", "--config-only")
    yield stack
    keep("capacity", MEASURED)


def test_without_room_the_traffic_stays_where_it_is(bench: Bench) -> None:
    machine = bench.machine
    quota = machine.kubectl("get", "resourcequota", "quota", "-n", STAGING)
    _patch(machine, "resourcequota", "quota", {"spec": {"hard": {"pods": quota["status"]["used"]["pods"]}}})
    eventually(lambda: _hard_pods(machine) == quota["status"]["used"]["pods"], 30)
    try:
        with bench.clients(LOAD) as clients:
            refused, MEASURED["refusal_s"] = _up(machine)
    finally:
        _patch(machine, "resourcequota", "quota", {"spec": {"hard": {"pods": quota["spec"]["hard"]["pods"]}}})

    assert refused.returncode != 0
    assert "ML-GATE-212" in refused.stdout, refused.stdout[-3000:]
    assert "exceeded quota" in refused.stdout
    assert bench.live() == "green"
    assert _least(machine, "blue") == LEAST
    assert clients.seen.failures == []


def test_the_slot_that_gets_the_traffic_is_as_big_as_the_one_that_loses_it_and_stays_so(bench: Bench) -> None:
    machine = bench.machine
    with bench.clients(LOAD) as clients:
        done, MEASURED["switch_s"] = _up(machine)
        ready = [_ready(machine, "blue")]
        end = time.monotonic() + TWO_LOOKS_S
        while time.monotonic() < end:
            time.sleep(5)
            ready.append(_ready(machine, "blue"))
    seen = clients.seen
    MEASURED.update(ready_after_the_switch=ready, calls=seen.total, failed=len(seen.failures))

    assert done.returncode == 0, done.stdout[-3000:]
    assert bench.live() == "blue"
    assert set(ready) == {GROWN}
    assert _ready(machine, "green") == GROWN, "the slot that lost the traffic is still as big"
    assert len(seen.versions) == 2, "control: the traffic really moved"
    assert seen.failures == []


def test_the_next_update_gives_the_minimum_back_and_leaves_the_one_that_a_person_raised(bench: Bench) -> None:
    machine = bench.machine
    assert (_least(machine, "blue"), bool(_mark(machine, "blue"))) == (GROWN, True), "control: it was raised"
    # As if the switch were three minutes ago.
    earlier = (datetime.now(tz=UTC) - timedelta(minutes=3)).isoformat(timespec="seconds")
    _patch(machine, "hpa", "model-blue", {"metadata": {"annotations": {RAISED_ANNOTATION: earlier}}})

    done, _ = _up(machine)

    assert done.returncode == 0, done.stdout[-3000:]
    assert (_least(machine, "blue"), _mark(machine, "blue")) == (LEAST, None)
    assert _least(machine, "green") == GROWN
    _patch(machine, "hpa", "model-green", {"spec": {"minReplicas": LEAST}})


def _up(machine: Machine) -> tuple[Any, float]:
    """An update, however it ends, and how long it took."""
    started = time.monotonic()
    done = machine.run(*UP, check=False, timeout_s=180)
    return done, round(time.monotonic() - started, 1)


def _patch(machine: Machine, kind: str, name: str, change: Any) -> None:
    machine.run("kubectl", "patch", kind, name, "-n", STAGING, "--type=merge", "-p", json.dumps(change))


def _ready(machine: Machine, slot: str) -> int:
    status = machine.kubectl("get", "deployment", f"model-{slot}", "-n", STAGING)["status"]
    return int(status.get("readyReplicas", 0))


def _least(machine: Machine, slot: str) -> int:
    return int(machine.kubectl("get", "hpa", f"model-{slot}", "-n", STAGING)["spec"]["minReplicas"])


def _mark(machine: Machine, slot: str) -> str | None:
    annotations = machine.kubectl("get", "hpa", f"model-{slot}", "-n", STAGING)["metadata"].get("annotations") or {}
    found: str | None = annotations.get(RAISED_ANNOTATION)
    return found


def _hard_pods(machine: Machine) -> str:
    return str(machine.kubectl("get", "resourcequota", "quota", "-n", STAGING)["status"]["hard"]["pods"])
