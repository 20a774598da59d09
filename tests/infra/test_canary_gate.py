"""What must hold before the idle slot gets a share of the clients, and that it keeps its release while it has one."""

import json

import pytest

from infra.delivery.canary import CanaryGate
from infra.delivery.occupied import OccupiedSlotGate
from ml.errors import GateError, SurroundingsError
from tests.infra.test_occupied import inputs

DIGEST = "d" * 64
MARK = {"release": "flights-0002", "record_digest": DIGEST, "at": "2026-11-24T10:00:00Z", "why": "errors"}


class Cluster:
    """Two slots, the live Service on blue, the preview Service on green, and a route."""

    def __init__(self, *, marks=(), ready=2, digest=DIGEST, weight=None, silent=False):
        self.asked, self.silent, self.ready = [], silent, ready
        annotations = {"ml-pipeline/rolled-back": json.dumps(list(marks))} if marks else {}
        backends = [{"name": "model", "weight": 90}, {"name": "model-preview"} | ({"weight": weight} if weight else {})]
        self.found = {
            "service/model": {
                "metadata": {"annotations": annotations},
                "spec": {"selector": {"ml-pipeline/slot": "blue"}},
            },
            "service/model-preview": {"spec": {"selector": {"ml-pipeline/slot": "green"}}},
            "deployment/model-green": {
                "metadata": {"annotations": {"ml-pipeline/record-digest": digest}},
                "spec": {"replicas": 2},
            },
            "httproute/model": None if weight is None else {"spec": {"rules": [{"backendRefs": backends}]}},
        }

    def one(self, kind, name):
        self.asked.append(kind)
        if self.silent:
            raise SurroundingsError("ML-X", "no answer", "")
        return self.found[f"{kind}/{name}"]

    def every(self, _kind):
        endpoints = [{"addresses": [f"10.0.0.{n}"], "conditions": {"ready": True}} for n in range(self.ready)]
        return [{"metadata": {"labels": {"kubernetes.io/service-name": "model-green"}}, "endpoints": endpoints}]


async def ask(cluster):
    gate = CanaryGate(objects=cluster, namespace="ml-staging", slot="green", digest=DIGEST, patience_s=0)
    await gate(None)


async def test_a_ready_slot_with_the_verified_record_may_have_a_share():
    await ask(Cluster())


async def test_a_release_that_was_rolled_back_gets_none():
    with pytest.raises(GateError, match=r"(?s)ML-GATE-213.*slot green holds flights-0002.*errors.*canary.weight"):
        await ask(Cluster(marks=[MARK]))
    await ask(Cluster(marks=[{**MARK, "record_digest": "another"}]))  # control: the mark is about one record


@pytest.mark.parametrize(("change", "word"), [({"ready": 1}, "1 ready endpoints"), ({"digest": "x"}, "record digest")])
async def test_a_slot_that_is_not_ready_or_runs_something_else_gets_none(change, word):
    with pytest.raises(GateError, match=rf"ML-GATE-202.*{word}"):
        await ask(Cluster(**change))


async def test_a_cluster_that_cannot_be_asked_gets_none():
    with pytest.raises(GateError, match="ML-GATE-204"):
        await ask(Cluster(silent=True))


def stage(cluster, slot="green", *, routed=True):
    """Put another release into the slot."""
    gate = OccupiedSlotGate(objects=cluster, slot=slot, routed=routed)
    gate.check(inputs("flights-0002"), inputs("flights-0003"))


@pytest.mark.parametrize("weight", [1, 5])
def test_a_slot_with_a_share_keeps_its_release_whatever_configuration_says_by_now(weight):
    with pytest.raises(GateError, match=r"(?s)ML-GATE-211.*model-green has . % of the traffic.*canary.weight: 0"):
        stage(Cluster(weight=weight))


def test_a_slot_without_a_share_takes_any_release():
    closed = Cluster(weight=5)
    closed.found["httproute/model"]["spec"]["rules"][0]["backendRefs"][1]["weight"] = 0
    stage(closed)
    stage(Cluster())  # no route in the cluster, or no such kind


def test_a_weight_that_is_not_written_down_is_one():
    implicit = Cluster(weight=5)
    del implicit.found["httproute/model"]["spec"]["rules"][0]["backendRefs"][1]["weight"]
    with pytest.raises(GateError, match="ML-GATE-211"):
        stage(implicit)


def test_a_stack_without_a_route_does_not_ask_for_one():
    cluster = Cluster(weight=5)
    stage(cluster, routed=False)

    assert "httproute" not in cluster.asked
