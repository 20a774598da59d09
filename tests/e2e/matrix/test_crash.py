"""Every pod of the slot that has just got the traffic dies, again and again: the traffic goes back by itself."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

import pytest

from tests.e2e.bench import Bench
from tests.e2e.clients import Load
from tests.e2e.drills import UP, quantiles
from tests.e2e.faults import processes, selected
from tests.e2e.looks import look_again
from tests.e2e.matrix.rows import RUNS, Row, row
from tests.e2e.matrix.watching import Watching
from tests.e2e.reads import STAGING
from tests.e2e.two_releases import SECOND

pytestmark = pytest.mark.e2e

LOAD = Load(kept=2, fresh=1, pause_s=0.05, piped_hz=0, limit=100_000)
BACK_WITHIN_S = 5
"""Of the look that decided, in 95 of 100 runs."""


def test_row_03_the_whole_slot_crashes_after_the_switch(bench: Bench) -> None:
    with row(3, "every pod of the new slot dies after the switch, again and again") as result:
        bench.settle("blue")
        with bench.other_settings() as settings:
            settings.write_text(settings.read_text().replace("analysis: {enabled: false}", "analysis: {seconds: 30}"))
            bench.machine.run("mlp", "release", "stage", SECOND, "--stack", "staging")
            with bench.clients(LOAD) as clients, Crashing(bench, "green") as crashes:
                time.sleep(15)  # what the release before did is what this one is compared with
                refused = bench.machine.run(*UP, check=False, timeout_s=400)
                decided = [_once_more(bench, number) for number in range(RUNS - 1)]
        bench.machine.run("kubectl", "annotate", "service", "model", "-n", STAGING, "ml-pipeline/rolled-back-")
        bench.machine.run(*UP, "--refresh", timeout_s=300)

        result.control("its processes were killed", len(crashes.killed) >= 3 * RUNS, len(crashes.killed))
        assert refused.returncode != 0
        assert f"release {SECOND}: fail under traffic" in refused.stdout, refused.stdout[-3000:]
        assert bench.live() == "blue"
        _judge(result, [at for at, _, _ in clients.seen.failures], decided)
        result.saw(clients.seen)


class Crashing(Watching):
    """While the block lasts, the slot's processes are killed whenever the slot has the traffic."""

    EVERY_S = 0.2

    def __init__(self, bench: Bench, slot: str) -> None:
        super().__init__()
        self._bench, self._slot = bench, slot
        self.killed: list[int] = []

    def look(self) -> None:
        if selected(self._bench.machine) == self._slot:
            for process in processes(self._bench.machine, self._slot):
                with suppress(ProcessLookupError):  # it has just died of itself
                    os.kill(process, signal.SIGKILL)
                    self.killed.append(process)


def _once_more(bench: Bench, number: int) -> float:
    """Fresh pods, whose restarts are not yet put off by the kubelet, get the traffic; when the analysis had decided."""
    bench.machine.run("kubectl", "delete", "pods", "-n", STAGING, "-l", "ml-pipeline/slot=green", "--wait=false")
    time.sleep(2)
    bench.whole("green")
    return look_again(bench.machine, number)


def _judge(result: Row, failures: Sequence[float], decided: Sequence[float]) -> None:
    """From each deciding look to the last call that failed for it."""
    back = []
    for at in decided:
        near = [failure for failure in failures if at - 60 < failure <= at]
        result.control(f"calls failed before the look at {at:.0f}", bool(near), len(near))
        back.append(_until_quiet(failures, at))
    result.facts["from_decision_s"] = quantiles(back)
    assert result.facts["from_decision_s"]["p95"] <= BACK_WITHIN_S


def _until_quiet(failures: Sequence[float], since: float) -> float:
    """How long calls went on to fail: to the last one before two seconds without any."""
    last = since
    for failure in sorted(failures):
        if last < failure < last + 2:
            last = failure
    return last - since
