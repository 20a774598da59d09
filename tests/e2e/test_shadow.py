"""The idle slot answers what clients ask the live one, and no client notices: not by its answers, not by its absence.

Not part of `make test`: under 3 minutes once the stack stands. `make e2e-shadow`; the figures lie in
`.build/drills/shadow.json`.
"""

import time
from collections import Counter

import pytest

from tests.e2e.clients import Clients, Load, Seen
from tests.e2e.drills import UP, keep
from tests.e2e.faults import selected
from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING, eventually
from tests.e2e.two_releases import FIRST, PORT, SECOND, api_key, golden_rows, two_releases

pytestmark = pytest.mark.e2e

SECONDS = 15
SERIES = "ml_shadow_requests_total{"
LOAD = Load(kept=4, fresh=2, piped_hz=0)  # pairs of 500 rows are larger than what is mirrored


def pods(machine: Machine, slot: str, *, leaving: bool) -> list[str]:
    """Names of a slot's pods, with or without those that are shutting down."""
    found = machine.kubectl("get", "pods", "-n", STAGING, "-l", f"ml-pipeline/slot={slot}")["items"]
    return [str(pod["metadata"]["name"]) for pod in found if leaving or "deletionTimestamp" not in pod["metadata"]]


def mirrored(machine: Machine, slot: str) -> Counter[tuple[str, str]]:
    """Outcome and the release that was compared with -> requests, over the pods of a slot."""
    counted: Counter[tuple[str, str]] = Counter()
    for pod in pods(machine, slot, leaving=False):
        path = f"/api/v1/namespaces/{STAGING}/pods/{pod}:8000/proxy/metrics"
        for line in machine.text("kubectl", "get", "--raw", path).splitlines():
            if line.startswith(SERIES):
                labels = dict(
                    pair.split("=") for pair in line[len(SERIES) : line.index("}")].replace('"', "").split(",")
                )
                assert labels["version"] == SECOND
                counted[labels["outcome"], labels["against"]] += int(line.rpartition(" ")[2])
    return counted


def called(machine: Machine) -> Seen:
    with Clients(PORT, api_key(machine), golden_rows(machine), LOAD) as clients:
        time.sleep(SECONDS)
    return clients.seen


def test_the_idle_slot_is_compared_and_its_absence_is_nobody_s_loss(machine: Machine) -> None:
    two_releases(machine)
    assert selected(machine) == "green"
    assert not mirrored(machine, "green"), "control: off, there is no series"
    for key, value in (("enabled", "true"), ("share", "1.0")):
        machine.run("pulumi", "config", "set", "--stack", "staging", "--path", f"ml-pipeline:shadow.{key}", value)
    machine.run(*UP, timeout_s=400)

    start = mirrored(machine, "green")
    there = called(machine)
    compared = mirrored(machine, "green") - start
    gone, absent = _without_the_idle_slot(machine)
    keep(
        "shadow",
        {
            "calls": there.total + gone.total,
            "failures": len(there.failures) + len(gone.failures),
            "compared": {" ".join(key): count for key, count in compared.items()},
            "without_the_idle_slot": {" ".join(key): count for key, count in absent.items()},
            "p95_s": [there.p95_s, gone.p95_s],
        },
    )

    assert there.failures == []
    assert gone.failures == []
    both = compared["same", FIRST] + compared["different", FIRST]
    assert both > 100
    assert compared["failed", ""] <= both / 20
    assert absent["same", FIRST] + absent["different", FIRST] == 0
    assert absent["failed", ""] + absent["dropped", ""] > 100


def _without_the_idle_slot(machine: Machine) -> tuple[Seen, Counter[tuple[str, str]]]:
    """What clients see and what is mirrored while the idle slot has no pods; they come back afterwards."""
    scale = ("kubectl", "scale", "deployment", "model-blue", "-n", STAGING)
    replicas = machine.kubectl("get", "deployment", "model-blue", "-n", STAGING)["spec"]["replicas"]
    machine.run(*scale, "--replicas=0")
    try:
        eventually(lambda: not pods(machine, "blue", leaving=True), 60)
        start = mirrored(machine, "green")
        seen = called(machine)
        return seen, mirrored(machine, "green") - start
    finally:
        machine.run(*scale, f"--replicas={replicas}")
        machine.run("kubectl", "rollout", "status", "deployment/model-blue", "-n", STAGING, "--timeout=120s")
