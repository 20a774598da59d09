"""Pulumi is killed at any moment of a release, and ten updates run at once: one command brings everything together.

Not part of `make test`: 50 kills take some 35 minutes. `make e2e-kills`; the result lies in `.build/drills/kills.json`.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.e2e.clients import Clients, Load
from tests.e2e.drills import UP, keep
from tests.e2e.faults import selected
from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING
from tests.e2e.two_releases import PORT, api_key, golden_rows, stage_second, two_releases

pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("MLP_KILLS", "50"))
MOST_S = 26 * 60  # what is not killed by then is said, and not waited for
RACERS = 10
OWNED = "deployments,services,jobs,configmaps,secrets,serviceaccounts,horizontalpodautoscalers,poddisruptionbudgets"


@pytest.fixture(scope="module")
def stack(machine: Machine) -> tuple[str, Sequence[Sequence[Any]]]:
    two_releases(machine)
    return api_key(machine), golden_rows(machine)


def test_killed_at_any_moment_one_command_brings_the_stack_to_one_release(
    machine: Machine, stack: tuple[str, Sequence[Sequence[Any]]]
) -> None:
    draw = random.Random(20261124)  # noqa: S311  (moments of a drill)
    whole_s = _whole_update_s(machine)
    moments, left = [], Counter[str]()
    with Clients(PORT, *stack, Load(kept=3, fresh=1, pause_s=0.05, piped_hz=1, limit=100_000)) as clients:
        end = time.monotonic() + MOST_S
        for number in range(KILLS):
            if time.monotonic() > end:
                break
            _turn(machine)
            moment = draw.uniform(0.2, whole_s)
            killed = _kill_after(machine, moment)
            before = _pending(machine)
            machine.run("make", "up", timeout_s=400)
            moments.append(round(moment, 2))
            left.update({"killed": killed, "with pending creations": bool(before)})
            assert _orphans(machine) == set(), f"kill {number} at {moment:.2f} s"
            assert selected(machine) == _configured(machine), f"kill {number} at {moment:.2f} s"
    again = machine.run(*UP, "--expect-no-changes", timeout_s=200)
    seen = clients.seen
    result = {
        "updates": len(moments),
        "really_killed": left["killed"],
        "with_pending_creations": left["with pending creations"],
        "whole_update_s": round(whole_s, 1),
        "moments_s": moments,
        "calls": seen.total,
        "failures": len(seen.failures),
    }
    keep("kills", result)

    assert left["killed"] >= 0.9 * len(moments), "control: nearly every update was still running when it was killed"
    assert seen.failures == []
    assert again.returncode == 0


def test_of_ten_updates_at_once_at_most_one_wins_and_the_others_say_why(
    machine: Machine, stack: tuple[str, Sequence[Sequence[Any]]]
) -> None:
    _turn(machine)
    racers = [_start(machine) for _ in range(RACERS)]
    outputs = [racer.communicate(timeout=300)[0] for racer in racers]
    codes = [racer.returncode for racer in racers]
    print(f"\nten updates at once: exit codes {codes}")

    assert codes.count(0) <= 1
    for code, output in zip(codes, outputs, strict=True):
        assert code == 0 or "lock" in output, output[-2000:]
    machine.run("make", "up", timeout_s=400)
    assert _orphans(machine) == set()
    assert selected(machine) == _configured(machine)


def _whole_update_s(machine: Machine) -> float:
    """How long an update with a switch takes when nobody kills it."""
    _turn(machine)
    started = time.monotonic()
    machine.run(*UP, timeout_s=300)
    return time.monotonic() - started


def _turn(machine: Machine) -> None:
    """Edit the configuration so that the next update moves the traffic, and makes new Jobs."""
    if _configured(machine) == "blue":
        stage_second(machine)
    else:
        machine.run("mlp", "rollback", "--stack", "staging", "--config-only")


def _configured(machine: Machine) -> str:
    text = (machine.clone / "Pulumi.staging.yaml").read_text()
    return text.partition("ml-pipeline:live:")[2].split()[0]


def _start(machine: Machine) -> "subprocess.Popen[str]":
    environment = {**machine.environment, "MLP_HOME": str(machine.home)}
    return subprocess.Popen(
        ["bash", "-c", '. .venv/bin/activate && exec "$@"', "bash", *UP],
        cwd=machine.clone,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _kill_after(machine: Machine, seconds: float) -> bool:
    """Whether the update was still running; what it has started ends by itself, as after any crash."""
    with _start(machine) as update:
        try:
            update.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            update.send_signal(signal.SIGKILL)
            return True
    return False


def _state(machine: Machine) -> Any:
    return json.loads(machine.run("pulumi", "stack", "export", "--stack", "staging", logged=False).stdout)["deployment"]


def _pending(machine: Machine) -> list[Any]:
    return [one for one in _state(machine).get("pending_operations") or [] if one["type"] == "creating"]


def _orphans(machine: Machine) -> set[str]:
    """Objects that carry our label and that the state does not know."""
    known = {resource["id"] for resource in _state(machine)["resources"] if resource.get("custom")}
    return {f"{kind}/{name}" for kind, name in _labelled(machine) if f"{STAGING}/{name}" not in known}


def _labelled(machine: Machine) -> Iterator[tuple[str, str]]:
    selector = "app.kubernetes.io/part-of=ml-pipeline,app.kubernetes.io/managed-by=pulumi"
    for item in machine.kubectl("get", OWNED, "-n", STAGING, "-l", selector)["items"]:
        # The ledger is written by whoever moves the traffic, and belongs to no update.
        if not (item["metadata"].get("ownerReferences") or item["metadata"]["name"].startswith("release-ledger-")):
            yield item["kind"], item["metadata"]["name"]
