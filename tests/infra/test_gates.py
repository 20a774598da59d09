"""The last look before traffic moves."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from infra.delivery.gates import SlotFacts, facts_of, flaws, refusal, selected_slot, wait_until_ready
from ml.delivery.traffic import RolledBack
from ml.errors import GateError
from tests.ml.stack.fakes import Namespace

DIGEST = "d" * 64
GOOD = SlotFacts(replicas=3, record_digest=DIGEST, ready_endpoints=3)


def changed(**values):
    return SlotFacts(**{**vars(GOOD), **values})


def test_a_slot_whose_every_replica_is_a_ready_endpoint_may_take_traffic():
    assert flaws("green", GOOD, DIGEST) == []


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (changed(replicas=None), "deployment model-green: does not exist"),
        (changed(replicas=0, ready_endpoints=0), "asks for 0 replicas"),
        (changed(ready_endpoints=0), "has 0 ready endpoints; must be the 3 replicas"),
        (changed(ready_endpoints=2), "has 2 ready endpoints"),
        (changed(ready_endpoints=4), "has 4 ready endpoints"),
        (changed(record_digest="f" * 64), "carries record digest"),
        (changed(record_digest=None), "carries record digest None"),
    ],
)
def test_anything_less_is_said_with_object_value_and_rule(facts, reason):
    assert reason in "; ".join(flaws("green", facts, DIGEST))


def test_everything_wrong_is_said_at_once():
    assert len(flaws("green", changed(record_digest=None, ready_endpoints=1), DIGEST)) == 2


class World:
    """A cluster whose answers change with every look, and a clock that only sleeping moves."""

    def __init__(self, *answers):
        self.answers, self.looks, self.now = answers, 0, 0.0

    def read(self, slot):
        assert slot == "green"
        answer = self.answers[min(self.looks, len(self.answers) - 1)]
        self.looks += 1
        return answer

    async def sleep(self, seconds):
        self.now += seconds

    def wait(self, patience_s=10):
        return wait_until_ready(
            "green", DIGEST, self.read, "ml-x", patience_s=patience_s, sleep=self.sleep, clock=lambda: self.now
        )


async def test_a_ready_slot_costs_one_look_and_no_waiting():
    world = World(GOOD)

    await world.wait()

    assert (world.looks, world.now) == (1, 0)


async def test_endpoints_that_follow_late_are_waited_for():
    world = World(changed(ready_endpoints=1), changed(ready_endpoints=2), GOOD)

    await world.wait()

    assert world.looks == 3


async def test_patience_ends_with_what_is_still_wrong_and_the_next_command():
    world = World(changed(ready_endpoints=1))

    with pytest.raises(GateError) as caught:
        await world.wait(patience_s=5)
    assert caught.value.code == "ML-GATE-202"
    assert "slot green" in caught.value.message
    assert "kubectl -n ml-x describe deployment model-green" in caught.value.fix
    assert world.now == 5


def test_the_slot_is_read_from_what_the_service_is_about_to_become():
    assert selected_slot({"spec": {"selector": {"ml-pipeline/slot": "green"}}}) == "green"


@pytest.mark.parametrize(
    "inputs",
    [None, {}, {"spec": None}, {"spec": {"selector": {}}}, {"spec": {"selector": {"ml-pipeline/slot": "teal"}}}],
)
def test_a_service_that_selects_no_slot_is_refused(inputs):
    with pytest.raises(GateError, match="ML-GATE-203"):
        selected_slot(inputs)


def endpoint(address, *, ready):
    return {"addresses": [address], "conditions": {"ready": ready}}


def test_only_ready_endpoints_count_over_all_slices():
    slices = [
        {"endpoints": [endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", ready=False)]},
        {"endpoints": None},
        {"endpoints": [endpoint("10.0.0.3", ready=True), {}, endpoint("10.0.0.4", ready=None)]},
    ]

    assert facts_of({"metadata": {}, "spec": {}}, slices) == SlotFacts(
        replicas=1, record_digest=None, ready_endpoints=2
    )


def service(slot, *marks):
    marked = json.dumps([asdict(mark) for mark in marks])
    return {
        "metadata": {"resourceVersion": "1", "annotations": {"ml-pipeline/rolled-back": marked}},
        "spec": {"selector": {"ml-pipeline/slot": slot}},
    }


BAD = RolledBack(release="flights-0002", record_digest=DIGEST, at="2013-08-01T00:00:00Z", why="errors")
OTHER = RolledBack(release="flights-0003", record_digest="e" * 64, at="2013-08-01T00:00:00Z", why="errors")


@pytest.mark.parametrize(
    ("found", "before", "code"),
    [
        (None, None, None),  # the first release
        (service("blue"), "blue", None),
        (service("green"), "blue", None),  # moved already, by a run that was cut off
        (service("teal"), "blue", "ML-GATE-208"),
        (service("blue"), "green", "ML-GATE-208"),  # to green again, which somebody has moved away from
        (service("blue", BAD), "blue", "ML-GATE-209"),
        (service("blue", OTHER), "blue", None),
        (service("green", BAD), "blue", None),
    ],
)
def test_the_live_service_itself_may_speak_against_a_switch_to_green(found, before, code):
    refused = refusal(found, before, "green", DIGEST)

    assert (None if refused is None else refused.code) == code


def space(*, live="blue", replicas=3):
    found = Namespace()
    for slot in ("blue", "green"):
        found.slot(slot, "flights-0001", record_digest=DIGEST)
        found.objects["deployment", f"model-{slot}"]["metadata"]["resourceVersion"] = "1"
    found.objects["deployment", "model-blue"]["spec"]["replicas"] = replicas
    found.live(live)
    addresses = [endpoint(f"10.0.0.{index}", ready=True) for index in range(replicas)]
    labels = {"kubernetes.io/service-name": "model-green"}
    found.objects["endpointslice", "green"] = {"metadata": {"labels": labels}, "endpoints": addresses}
    return found


def switch_to(slot, before):
    def inputs(one):
        return {"spec": {"selector": {"ml-pipeline/slot": one}}}

    return SimpleNamespace(new_inputs=inputs(slot), old_inputs=inputs(before))
