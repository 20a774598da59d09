"""The on-call engineer's one command, rehearsed and timed: until no client is answered by the bad release any more.

Not part of `make test`: some 20 minutes. `make rollback-drill`; the figures lie in `.build/drills/rollback.json`.
"""

import time

import pytest

from tests.e2e.bench import prepare
from tests.e2e.clients import Load
from tests.e2e.drills import keep, quantiles
from tests.e2e.machine import Machine
from tests.e2e.two_releases import FIRST, SECOND, switch

pytestmark = pytest.mark.e2e

ROUNDS = 20
SETTLE_S = 5


def test_a_rollback_brings_every_client_back_in_seconds(machine: Machine) -> None:
    bench = prepare(machine)
    starts, commands = [], []
    with bench.clients(Load(kept=4, fresh=2, piped_hz=1)) as clients:
        for number in range(ROUNDS):
            if number:
                switch(machine)
                time.sleep(SETTLE_S)
            starts.append(time.time())
            machine.run("mlp", "rollback", "--stack", "staging")
            commands.append(time.time() - starts[-1])
            assert bench.live() == "blue"
            time.sleep(SETTLE_S)
    seen = clients.seen
    lasts = seen.versions[SECOND][1::2]
    assert len(lasts) == ROUNDS, "control: each time the second release had the traffic, and lost it"
    back = [last - start for start, last in zip(starts, lasts, strict=True)]
    keep(
        "rollback",
        {
            "command_s": quantiles(commands),
            "until_the_last_answer_of_the_bad_release_s": quantiles(back),
            "calls": seen.total,
            "failures": len(seen.failures),
        },
    )

    assert seen.failures == []
    assert min(back) > 0
    assert len(seen.versions[FIRST]) // 2 == ROUNDS
