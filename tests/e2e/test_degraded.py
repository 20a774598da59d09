"""Releases that pass every check on paper and are bad: one fails its smoke test, four degrade only under traffic.

Not part of `make test`: some 20 minutes. `make e2e-degraded`; what was measured lies in `.build/drills/degraded.json`.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from ml.release.signing import signer
from tests.e2e.clients import Clients, Load, Seen
from tests.e2e.crafted import Graft, Trigger, craft, not_a_number, raises, shifted, slow
from tests.e2e.drills import UP, keep, quantiles
from tests.e2e.faults import selected
from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING, eventually
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
    _stage(machine, "flights-0010", at_the_end, not_a_number)
    with Clients(PORT, stack, _rows(machine, 0.6), LOAD) as clients:
        refused = machine.run(*UP, check=False, timeout_s=400)

    seen = clients.seen
    assert refused.returncode != 0
    assert "ML-SMOKE-001" in refused.stdout, refused.stdout[-3000:]
    assert (set(seen.versions), seen.failures) == ({FIRST}, [])
    assert selected(machine) == "blue"
    MEASURED["smoke"] = {"calls": seen.total, "answered_by": list(seen.versions)}


@pytest.mark.parametrize("name", KINDS)
def test_a_release_that_degrades_only_under_traffic_is_rolled_back_by_itself(
    machine: Machine, stack: str, name: str
) -> None:
    kind = KINDS[name]
    machine.run("mlp", "rollback", "--stack", "staging", "--config-only")
    _stage(machine, kind.release, TRIGGER, kind.graft)
    with Clients(PORT, stack, _rows(machine, kind.share_hit), kind.load) as clients:
        time.sleep(20)  # what the champion did before is what the candidate is compared with
        refused = machine.run(*UP, "--refresh", check=False, timeout_s=400)
        looks = [_look_again(machine, number) for number in range(RUNS - 1)]
    seen = clients.seen
    assert refused.returncode != 0
    assert f"release {kind.release}: fail under traffic" in refused.stdout, refused.stdout[-3000:]
    assert selected(machine) == "blue"
    MEASURED[name] = _measured(seen, kind.release, looks)
    print(f"\n{name}: {json.dumps(MEASURED[name])}")

    assert len(MEASURED[name]["from_first_answer_s"]) == RUNS, "control: each time the bad release had the traffic"


def test_the_traffic_is_back_within_five_seconds_of_the_look_that_decided(machine: Machine, stack: str) -> None:
    decided = [value for name in KINDS for value in MEASURED[name]["from_decision_s"]]
    began = [value for name in KINDS for value in MEASURED[name]["from_first_answer_s"]]
    MEASURED["all"] = {"from_decision_s": quantiles(decided), "from_first_answer_s": quantiles(began)}

    assert len(decided) >= 4 * (RUNS - 1)
    assert MEASURED["all"]["from_decision_s"]["p95"] <= 5


def _stage(machine: Machine, release: str, trigger: Trigger, graft: Graft) -> None:
    if not (machine.clone / "releases" / release).exists():
        key = signer(machine.clone, machine.home, {}, now=datetime.now(tz=UTC))
        craft(machine.clone / "releases" / SECOND, machine.clone, release, (trigger, graft), key)
    machine.run("mlp", "release", "verify", release)
    machine.run("mlp", "release", "stage", release, "--stack", "staging")


def _rows(machine: Machine, share_hit: float) -> Sequence[Sequence[Any]]:
    serving = json.loads((machine.clone / "releases" / FIRST / "serving.json").read_text())
    return usual_rows(serving, TRIGGER, 2000, share_hit, seed=1)


def _look_again(machine: Machine, number: int) -> float:
    """Give the bad release the traffic once more, and watch it by the Job of the stack; when it had decided."""
    service = json.loads(machine.text("kubectl", "get", "service", "model", "-n", STAGING, "-o", "json"))
    assert service["spec"]["selector"]["ml-pipeline/slot"] == "blue"
    time.sleep(3)  # so that clients see one change after the other
    jobs = machine.kubectl("get", "jobs", "-n", STAGING, "-l", "app.kubernetes.io/name=analysis")["items"]
    latest = max(jobs, key=lambda job: job["metadata"]["creationTimestamp"])
    name = f"analysis-drill-{number}-{int(time.time())}"
    again = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": STAGING, "labels": {"drill": "degraded"}},
        "spec": {key: latest["spec"][key] for key in ("backoffLimit", "activeDeadlineSeconds")},
    }
    template = latest["spec"]["template"]
    own = {key: value for key, value in template["metadata"]["labels"].items() if "job" not in key and "uid" not in key}
    again["spec"]["template"] = {"metadata": {**template["metadata"], "labels": own}, "spec": template["spec"]}
    file = machine.home / f"{name}.json"
    file.write_text(json.dumps(again))
    machine.run("kubectl", "annotate", "service", "model", "-n", STAGING, "ml-pipeline/rolled-back-")
    selector = json.dumps({"spec": {"selector": {"ml-pipeline/slot": "green"}}})
    machine.run("kubectl", "patch", "service", "model", "-n", STAGING, "-p", selector)
    machine.run("kubectl", "create", "-f", str(file))
    eventually(lambda: bool(machine.kubectl("get", "job", name, "-n", STAGING)["status"].get("failed")), 120)
    return _decided_at(machine.text("kubectl", "logs", "-n", STAGING, f"job/{name}", "--timestamps"))


def _decided_at(log: str) -> float:
    """When the look that failed was printed, seconds since the epoch."""
    line = next(line for line in log.splitlines() if '"so_far": "fail"' in line)
    stamp = re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", line.split()[0])
    return datetime.fromisoformat(stamp).timestamp()


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
