"""A container of the live slot that gets hardly any processor, and one that runs out of memory."""

import time
from typing import Any

import pytest

from tests.e2e.bench import GENTLE, Bench
from tests.e2e.clients import Load, Seen
from tests.e2e.matrix.groups import Group, fill, groups, throttling
from tests.e2e.matrix.rows import Row, row
from tests.e2e.matrix.waits import until
from tests.e2e.reads import STAGING

pytestmark = pytest.mark.e2e

BUSY = Load(kept=3, fresh=1, pause_s=0.05, piped_hz=3, limit=100_000)
"""A fifth of what a container with a tenth of a processor can do; two requests of 500 rows are more than its share."""
SHARE, STARVED_S = 0.1, 25.0
OPEN_AT_ONCE = GENTLE.kept + GENTLE.fresh + 4
"""Connections that a pod can have at one moment: every client's, and two pairs of the piped kind."""
GONE_S = 10.0
"""After a kill: the kubelet sees it, and the pod leaves the Service; clients come to its address until then."""
RESTART_S = 180.0
"""A container that ended several times within minutes is held back."""


def test_row_46_hardly_any_processor_then_no_memory_left(bench: Bench) -> None:
    with row(
        46, "a container gets a tenth of a processor; another fills its memory until the kernel kills it"
    ) as result:
        slot = bench.live()
        bench.whole(slot)
        throttled = _throttled(bench, slot, result)
        _out_of_memory(bench, slot, result)
        result.lost_nothing(throttled)


def _throttled(bench: Bench, slot: str, result: Row) -> Seen:
    """No call fails; how slow the others are and whether the pod stays in the Service is reported."""
    group = groups(bench.pods(slot))[0]
    with bench.clients(BUSY) as before:
        time.sleep(5)
    waited, readiness = group.throttled(), []
    with bench.clients(BUSY) as clients, throttling(group, SHARE):
        end = time.monotonic() + STARVED_S
        while time.monotonic() < end:
            readiness.append(bool(_status(bench, slot, group.pod)["ready"]))
            time.sleep(3)
    waited = group.throttled() - waited
    result.control(f"with {SHARE:.0%} of a processor it had to wait, in so many periods", waited >= 5, waited)
    result.facts["throttled"] = {
        "ready": readiness,
        "p95_s": clients.seen.p95_s,
        "p95_before_s": before.seen.p95_s,
        "longest_answer_s": round(clients.seen.longest_s, 3),
    }
    return clients.seen


def _out_of_memory(bench: Bench, slot: str, result: Row) -> None:
    """One container is started again, and nothing is lost but what it had in its hands when it died."""
    bench.whole(slot)
    group = min(groups(bench.pods(slot)), key=lambda one: _restarts(bench, slot, one))
    restarts, all_restarts = _restarts(bench, slot, group), bench.restarts(slot)
    budget = _budget(bench, slot)
    with bench.clients() as clients:
        time.sleep(3)
        began = time.time()
        said = fill(group)
        killed = time.time()
        result.control("the kernel killed the container's process", said.startswith("exit 0"), said)
        status = until(
            f"the container of {group.pod} is started again and ready",
            lambda: _status(bench, slot, group.pod),
            lambda found: bool(found["restartCount"] > restarts and found["ready"]),
            RESTART_S,
        )
        time.sleep(3)
    ended = status["lastState"].get("terminated", {})
    result.control("it ended of that", ended.get("exitCode") == 137, f"{ended.get('reason')} {ended.get('exitCode')}")
    bench.whole(slot)
    _only_its_own(clients.seen, began, killed, result)
    assert status["restartCount"] == restarts + 1, f"one restart, from {restarts}: {status}"
    assert bench.restarts(slot) == all_restarts + 1, f"no other container was started again, from {all_restarts}"
    kept = until("a disruption is allowed again", lambda: _budget(bench, slot), lambda found: found["allowed"] >= 1, 60)
    result.facts["budget"] = {"before": budget, "after": kept}
    assert (kept["uid"], kept["allowed"]) == (budget["uid"], budget["allowed"])


def _only_its_own(seen: Seen, began: float, killed: float, result: Row) -> None:
    """What failed was cut off in the middle, or came to its address before the Service left it out."""
    refused = [one for one in seen.failures if "refused" in one[2].lower()]
    cut_off = [one for one in seen.failures if one not in refused]
    result.facts["out_of_memory"] = {"calls": seen.total, "cut_off": cut_off, "refused": len(refused)}
    if refused:
        result.facts["out_of_memory"]["refused_until_s"] = round(max(one[0] for one in refused) - killed, 2)
    late = [one for one in seen.failures if not began <= one[0] <= killed + GONE_S]
    assert not late, f"failures that the kill does not explain: {late[:3]} (killed at {killed})"
    assert len(cut_off) <= OPEN_AT_ONCE, f"more than it had in its hands: {cut_off}"


def _status(bench: Bench, slot: str, pod: str) -> dict[str, Any]:
    """Of the container of a pod."""
    pods = {one["metadata"]["name"]: one for one in bench.pods(slot)}
    assert pod in pods, f"pod {pod} is gone; there are {sorted(pods)}"
    status: dict[str, Any] = pods[pod]["status"]["containerStatuses"][0]
    return status


def _restarts(bench: Bench, slot: str, group: Group) -> int:
    return int(_status(bench, slot, group.pod)["restartCount"])


def _budget(bench: Bench, slot: str) -> dict[str, Any]:
    """Whether the same PodDisruptionBudget is there, and how many pods it would let go now."""
    found = bench.machine.kubectl("get", "pdb", f"model-{slot}", "-n", STAGING)
    return {"uid": found["metadata"]["uid"], "allowed": int(found["status"]["disruptionsAllowed"])}
