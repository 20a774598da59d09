"""Pods that go: at the switch, while they drain, all at once after it, one by one under full load."""

import time

import pytest

from tests.e2e.bench import FULL, GENTLE, Bench
from tests.e2e.matrix.rows import RUNS, row

pytestmark = pytest.mark.e2e

OPEN_AT_ONCE = GENTLE.kept + GENTLE.fresh + 4
"""Connections that a pod can have at one moment: every client's, and two pairs of the piped kind."""


@pytest.mark.smoke
def test_row_01_a_pod_goes_right_after_the_switch(bench: Bench) -> None:
    with row(1, "a pod of the slot that has just got the traffic is deleted") as result:
        gone = set()
        with bench.clients(FULL) as clients:
            for _ in range(RUNS):
                slot = bench.turn()
                result.did(f"slot {slot} has the traffic")
                name = bench.delete_a_pod(slot)
                gone.add(name)
                result.did(f"pod {name} was asked to go")
                time.sleep(2)
                bench.whole(slot)
        seen = clients.seen

        left = {pod["metadata"]["name"] for slot in ("blue", "green") for pod in bench.pods(slot)}
        result.control("as many pods as switches are gone", len(gone - left) == RUNS, len(gone - left))
        moves = sum(len(spans) // 2 for spans in seen.versions.values())
        result.control("the traffic really moved each time", moves >= RUNS, moves)
        result.lost_nothing(seen)


@pytest.mark.smoke
def test_row_02_a_pod_is_killed_while_it_drains(bench: Bench) -> None:
    with row(2, "a container of the slot that has just lost the traffic is killed") as result:
        killed = 0
        with bench.clients() as clients:
            for _ in range(RUNS):
                losing = bench.live()
                bench.turn()
                killed += bool(bench.kill_a_container(losing))
                time.sleep(2)
                bench.whole(losing)
            # Back to the slot whose container was killed last: it must be able to take the traffic.
            back = bench.turn()
            time.sleep(4)
        seen = clients.seen

        result.control("a container was killed each time", killed == RUNS, killed)
        result.control("they were started again", bench.restarts("blue") + bench.restarts("green") >= RUNS)
        result.saw(seen)
        assert bench.live() == back
        assert len(seen.failures) <= RUNS * OPEN_AT_ONCE, "only what that pod had in its hands"


def test_row_43_pods_are_asked_to_go_under_full_load(bench: Bench) -> None:
    with row(43, "pods of the live slot are deleted one by one under full load") as result:
        slot, gone = bench.live(), set()
        with bench.clients(FULL) as clients:
            for _ in range(RUNS):
                gone.add(bench.delete_a_pod(slot))
                time.sleep(2)
                bench.whole(slot)
        with bench.clients(FULL) as undrained:
            time.sleep(2)
            for _ in range(3):
                bench.kill_a_container(slot)
                time.sleep(2)
                bench.whole(slot)

        result.control("as many pods went", len(gone) == RUNS, len(gone))
        lost = undrained.seen.failures
        result.control("without draining the same clients lose requests", bool(lost), len(lost))
        result.lost_nothing(clients.seen)
