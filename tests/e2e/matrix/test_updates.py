"""Updates that end before their time: asked to, right after the switch, in a rollback, without an API server."""

import os
import random
import signal
import time

import pytest

from tests.e2e.bench import Bench, without
from tests.e2e.drills import UP
from tests.e2e.matrix.rows import RUNS, Row, row
from tests.e2e.updates import configured, kill_after, orphans, start, turn

pytestmark = pytest.mark.e2e

HALF = max(RUNS // 2, 2)
WHOLE_S = 7.0
"""Some of what an undisturbed update takes; a moment behind its end is counted, and not as a fault."""


def test_row_07_pulumi_is_asked_to_end(bench: Bench) -> None:
    draw, ended = random.Random(7), 0  # noqa: S311  (moments of a drill)
    with row(7, "pulumi ended (SIGTERM) in the middle of an update") as result:
        bench.settle()
        with bench.clients() as clients:
            for _ in range(HALF):
                turn(bench.machine)
                ended += kill_after(bench.machine, draw.uniform(0.5, WHOLE_S), signal.SIGTERM)
                bench.up()
                _is_one_release(bench)
        result.control("updates were still running", ended >= 0.7 * HALF, f"{ended} of {HALF}")
        result.lost_nothing(clients.seen)


def test_row_09_killed_right_after_the_selector_moved(bench: Bench) -> None:
    with row(
        9, "pulumi killed right after the switch, before anything proved it; a rollback killed at any moment"
    ) as one:
        bench.settle()
        with bench.clients() as clients:
            killed = sum(_killed_at_the_switch(bench) for _ in range(HALF))
            rollbacks = sum(_killed_rollback(bench, number) for number in range(HALF))
        one.control("updates were killed between the switch and their end", killed >= 0.7 * HALF, killed)
        one.control("rollbacks were killed", rollbacks >= 0.7 * HALF, rollbacks)
        one.lost_nothing(clients.seen)


def test_row_11_the_api_server_goes_during_an_update(bench: Bench) -> None:
    with row(11, "the API server is gone for 5 s and for 60 s during an update") as result:
        bench.settle()
        with bench.clients() as clients:
            for seconds in (5, 60):
                _update_without_api(bench, seconds, result)
        result.lost_nothing(clients.seen)


def test_row_49_a_person_has_moved_the_selector(bench: Bench) -> None:
    with row(49, "the live Service's selector was edited by hand") as result:
        bench.settle()
        with bench.clients() as clients:
            moved = bench.turn()
            time.sleep(2)
            output = bench.machine.run("make", "up", timeout_s=400).stdout
        result.control("the state said another slot", f"moved to slot {moved}" in output, moved)
        assert bench.live() == configured(bench.machine) != moved
        _is_one_release(bench)
        result.lost_nothing(clients.seen)


def _is_one_release(bench: Bench) -> None:
    assert orphans(bench.machine) == set()
    assert bench.live() == configured(bench.machine)


def _killed_at_the_switch(bench: Bench) -> bool:
    """Whether the update still ran when it was killed, after its switch; then one command, and all is well."""
    turn(bench.machine)
    wanted = configured(bench.machine)
    with start(bench.machine) as update:
        while bench.live() != wanted and update.poll() is None:
            time.sleep(0.05)
        was_running = update.poll() is None
        update.send_signal(signal.SIGKILL)
    bench.up()
    _is_one_release(bench)
    return was_running


def _killed_rollback(bench: Bench, number: int) -> bool:
    """A rollback is killed with all its children, and typed again."""
    if bench.live() == "blue":
        turn(bench.machine)
        bench.machine.run(*UP, timeout_s=300)
    command = ("mlp", "rollback", "--stack", "staging")
    with start(bench.machine, *command) as rollback:
        time.sleep(0.5 + number * WHOLE_S / HALF)
        was_running = rollback.poll() is None
        if was_running:
            os.killpg(rollback.pid, signal.SIGKILL)
    again = bench.machine.run(*command, check=False, timeout_s=300)
    assert bench.live() == "blue", again.stdout[-2000:]
    bench.up()
    _is_one_release(bench)
    return was_running


def _update_without_api(bench: Bench, seconds: int, result: Row) -> None:
    turn(bench.machine)
    with start(bench.machine) as update:
        time.sleep(3)
        was_running = update.poll() is None
        with without(bench.machine, "apiserver", seconds):
            asked = bench.machine.run("kubectl", "get", "nodes", "--request-timeout=2s", check=False)
        output, _ = update.communicate(timeout=300)
    result.control(f"{seconds} s: the update was running", was_running)
    result.control(f"{seconds} s: nobody could ask the API server", asked.returncode != 0, asked.stdout.strip()[-120:])
    result.facts[f"after {seconds} s"] = {"update_exit": update.returncode, "said": output.strip()[-300:]}
    bench.up()
    _is_one_release(bench)
    assert bench.machine.run(*UP, "--expect-no-changes", timeout_s=200).returncode == 0
