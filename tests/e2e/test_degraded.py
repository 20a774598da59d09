"""Releases that pass every check on paper and are bad: one fails its smoke test, four degrade only under traffic.

Not part of `make test`: some 20 minutes. `make e2e-degraded`; what was measured lies in `.build/drills/degraded.json`.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.clients import Clients, Load, Seen
from tests.e2e.crafted import Graft, Trigger, not_a_number, raises, shifted, slow
from tests.e2e.drills import UP, keep, quantiles
from tests.e2e.faults import selected
from tests.e2e.looks import look_again
from tests.e2e.machine import Machine
from tests.e2e.matrix.rows import row
from tests.e2e.staged import stage_crafted
from tests.e2e.two_releases import FIRST, PORT, SECOND, api_key, two_releases
from tests.ml.delivery.rows import usual_rows

pytestmark = pytest.mark.e2e

RUNS = int(os.environ.get("MLP_DEGRADED_RUNS", "5"))
TRIGGER = Trigger(feature="pressure", value=1013.37)  # sensors tell tenths
LOAD = Load(kept=2, fresh=1, pause_s=0.05, piped_hz=0, limit=100_000)
GENTLE = Load(kept=1, fresh=1, pause_s=0.1, piped_hz=0, limit=100_000)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One way to be bad."""

    release: str
    graft: Graft
    share_hit: float
    """Of the clients' rows, those with the trigger."""
    load: Load = LOAD


# The scores come first: they are compared with what the champion did in the ten minutes before, which must have been
# asked the same. So the smoke test's clients send as many triggers as well.
KINDS: Mapping[str, Kind] = {
    "scores": Kind(release="flights-0014", graft=shifted((-0.5, 0.5)), share_hit=0.6),
    "nan": Kind(release="flights-0011", graft=not_a_number, share_hit=0.2),
    "errors": Kind(release="flights-0012", graft=raises, share_hit=0.2),
    "slow": Kind(release="flights-0013", graft=slow(80), share_hit=0.4, load=GENTLE),
}
MEASURED: dict[str, Any] = {}


@pytest.fixture(scope="module")
def stack(machine: Machine) -> Iterator[str]:
    """The first release live, the second known to be good, and the analysis as the stack has it."""
    two_releases(machine)
    machine.run("mlp", "rollback", "--stack", "staging")
    stack = machine.clone / "Pulumi.staging.yaml"
    stack.write_text(stack.read_text().replace("analysis: {enabled: false}", "analysis: {seconds: 30}"))
    yield api_key(machine)
    keep("degraded", MEASURED)


def test_a_release_that_fails_its_smoke_test_never_gets_traffic(machine: Machine, stack: str) -> None:
    serving = json.loads((machine.clone / "releases" / SECOND / "serving.json").read_text())
    pressure = next(feature for feature in serving["features"] if feature["name"] == TRIGGER.feature)
    at_the_end = Trigger(feature=TRIGGER.feature, value=pressure["maximum"])
    with row(5, "a release that passes the gate and fails its smoke test") as result:
        stage_crafted(machine, "flights-0010", at_the_end, not_a_number)
        with Clients(PORT, stack, _rows(machine, 0.6), LOAD) as clients:
            refused = machine.run(*UP, check=False, timeout_s=400)

        seen = clients.seen
        assert refused.returncode != 0
        result.control("it was the smoke test that refused it", "ML-SMOKE-001" in refused.stdout, "ML-SMOKE-001")
        assert set(seen.versions) == {FIRST}
        assert selected(machine) == "blue"
        result.lost_nothing(seen)
        MEASURED["smoke"] = {"calls": seen.total, "answered_by": list(seen.versions)}


@pytest.mark.parametrize("name", KINDS)
def test_a_release_that_degrades_only_under_traffic_is_rolled_back_by_itself(
    machine: Machine, stack: str, name: str
) -> None:
    kind = KINDS[name]
    machine.run("mlp", "rollback", "--stack", "staging", "--config-only")
    stage_crafted(machine, kind.release, TRIGGER, kind.graft)
    with Clients(PORT, stack, _rows(machine, kind.share_hit), kind.load) as clients:
        time.sleep(20)  # what the champion did before is what the candidate is compared with
        refused = machine.run(*UP, "--refresh", check=False, timeout_s=400)
        looks = [look_again(machine, number) for number in range(RUNS - 1)]
    seen = clients.seen
    assert refused.returncode != 0
    assert f"release {kind.release}: fail under traffic" in refused.stdout, refused.stdout[-3000:]
    assert selected(machine) == "blue"
    MEASURED[name] = _measured(seen, kind.release, looks)
    print(f"\n{name}: {json.dumps(MEASURED[name])}")

    assert len(MEASURED[name]["from_first_answer_s"]) == RUNS, "control: each time the bad release had the traffic"


def test_the_traffic_is_back_within_five_seconds_of_the_look_that_decided(machine: Machine, stack: str) -> None:
    with row(6, "a release that degrades only under traffic: NaN, errors, slow, other scores") as result:
        decided = [value for name in KINDS for value in MEASURED[name]["from_decision_s"]]
        began = [value for name in KINDS for value in MEASURED[name]["from_first_answer_s"]]
        MEASURED["all"] = {"from_decision_s": quantiles(decided), "from_first_answer_s": quantiles(began)}
        result.facts |= MEASURED["all"] | {name: MEASURED[name] for name in KINDS}

        result.control("each kind had the traffic in each run", len(began) == len(KINDS) * RUNS, len(began))
        assert len(decided) >= len(KINDS) * (RUNS - 1)
        assert MEASURED["all"]["from_decision_s"]["p95"] <= 5


def _rows(machine: Machine, share_hit: float) -> Sequence[Sequence[Any]]:
    serving = json.loads((machine.clone / "releases" / FIRST / "serving.json").read_text())
    return usual_rows(serving, TRIGGER, 2000, share_hit, seed=1)


def _measured(seen: Seen, release: str, looks: Sequence[float]) -> Mapping[str, Any]:
    times = seen.versions[release]
    spans = list(zip(times[::2], times[1::2], strict=True))
    return {
        "from_first_answer_s": [round(last - first, 2) for first, last in spans],
        "from_decision_s": [
            round(max(last - at, 0.0), 2) for at, (_, last) in zip(looks, spans[len(spans) - len(looks) :], strict=True)
        ],
        "calls": seen.total,
        "failed": len(seen.failures),
    }
