"""Pulumi is killed at any moment of a release, and ten updates run at once: one command brings everything together.

Rows 8 and 10 of the fault matrix. Not part of `make test`: 50 kills take some 40 minutes. `make e2e-kills`.
"""

import os
import random
import time
from collections import Counter
from dataclasses import replace

import pytest

from tests.e2e.bench import GENTLE, Bench, prepare
from tests.e2e.drills import UP
from tests.e2e.machine import Machine
from tests.e2e.matrix.rows import row
from tests.e2e.updates import configured, kill_after, orphans, pending, start, turn

pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("MLP_KILLS", "50"))
MOST_S = 45 * 60  # what is not killed by then is said, and not waited for
RACERS = 10


@pytest.fixture(scope="module")
def bench(machine: Machine) -> Bench:
    return prepare(machine)


def test_killed_at_any_moment_one_command_brings_the_stack_to_one_release(bench: Bench) -> None:
    machine = bench.machine
    draw = random.Random()  # noqa: S311  (moments of a drill, other ones each time; the result has them)
    whole_s = _whole_update_s(machine)
    moments, left = [], Counter[str]()
    with row(8, "pulumi killed (SIGKILL) at any moment of an update") as result:
        with bench.clients(replace(GENTLE, limit=400_000)) as clients:
            end = time.monotonic() + MOST_S
            for number in range(KILLS):
                if time.monotonic() > end:
                    break
                turn(machine)
                moment = draw.uniform(0.2, whole_s)
                killed = kill_after(machine, moment)
                before = pending(machine)
                bench.up()
                moments.append(round(moment, 2))
                left.update({"killed": killed, "with pending creations": bool(before)})
                assert orphans(machine) == set(), f"kill {number} at {moment:.2f} s"
                assert bench.live() == configured(machine), f"kill {number} at {moment:.2f} s"
        again = machine.run(*UP, "--expect-no-changes", check=False, timeout_s=200)
        result.facts |= {
            "updates": len(moments),
            "with_pending_creations": left["with pending creations"],
            "whole_update_s": round(whole_s, 1),
            "moments_s": moments,
        }
        really = left["killed"]
        result.control("nearly every update was still running when it was killed", really >= 0.9 * len(moments), really)
        result.control("as many moments as were asked for", len(moments) == KILLS, len(moments))
        result.lost_nothing(clients.seen)
        assert again.returncode == 0, again.stdout[-2000:]


def test_of_ten_updates_at_once_at_most_one_wins_and_the_others_say_why(bench: Bench) -> None:
    machine = bench.machine
    with row(10, "ten updates and two rollbacks at once") as result:
        turn(machine)
        with bench.clients() as clients:
            racers = [start(machine) for _ in range(RACERS)]
            racers += [start(machine, "mlp", "rollback", "--stack", "staging") for _ in range(2)]
            outputs = [racer.communicate(timeout=300)[0] for racer in racers]
            codes = [racer.returncode for racer in racers]
            bench.up()
        result.facts["exit_codes"] = codes

        for code, output in zip(codes, outputs, strict=True):
            assert code == 0 or "lock" in output or "in use by process" in output, output[-2000:]
        result.control("they really met: most were turned away", codes.count(0) <= 2, codes.count(0))
        assert codes[:RACERS].count(0) <= 1
        assert orphans(machine) == set()
        assert bench.live() == configured(machine)
        result.lost_nothing(clients.seen)


def _whole_update_s(machine: Machine) -> float:
    """How long an update with a switch takes when nobody kills it."""
    turn(machine)
    started = time.monotonic()
    machine.run(*UP, timeout_s=300)
    return time.monotonic() - started
