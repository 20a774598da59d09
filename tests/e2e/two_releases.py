"""What the drills start from: a stack whose two slots are warm, the second release live, and no analysis."""

import json
from collections.abc import Sequence
from typing import Any

from tests.e2e.drills import UP
from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING, next_month

PORT = 30080
FIRST, SECOND = "flights-0001", "flights-0002"


def two_releases(machine: Machine) -> None:
    """Bring the stack up, make the second release, give it the traffic. The analysis is another drill's subject."""
    machine.run("make", "up", timeout_s=45 * 60)
    if not (machine.clone / "releases" / SECOND).exists():
        first = json.loads((machine.clone / "releases" / FIRST / "record.json").read_text())
        machine.run("mlp", "keys", "create", "--owner", "drill")
        machine.run("mlp", "release", "create", "--through", next_month(first["data"]["train"]["to"]), timeout_s=900)
    # An earlier drill may have had the second one rolled back by its analysis: docs/runbooks/ReleaseRolledBack.md.
    machine.run("kubectl", "annotate", "service", "model", "-n", STAGING, "ml-pipeline/rolled-back-")
    stack = machine.clone / "Pulumi.staging.yaml"
    stack.write_text(stack.read_text().replace("analysis: {seconds: 30}", "analysis: {enabled: false}"))
    switch(machine)


def stage_second(machine: Machine) -> None:
    """Edit the configuration so that the second release gets the traffic."""
    machine.run("mlp", "release", "stage", SECOND, "--stack", "staging")


def switch(machine: Machine) -> None:
    """Give the traffic to the second release."""
    stage_second(machine)
    machine.run(*UP, timeout_s=400)


def api_key(machine: Machine) -> str:
    """The key that clients of the stack send."""
    return machine.secret("mlp", "api-key", "--stack", "staging")


def golden_rows(machine: Machine) -> Sequence[Sequence[Any]]:
    """The features of some real flights."""
    serving = json.loads((machine.clone / "releases" / FIRST / "serving.json").read_text())
    rows: Sequence[Sequence[Any]] = serving["golden"]["rows"]
    return rows
