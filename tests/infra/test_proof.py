"""The proof after the switch: what it takes, and that what cannot be proven is taken back."""

from dataclasses import replace

import pytest

from infra.delivery.proof import Seen, SwitchProof, doubts
from ml.delivery.traffic import selected
from ml.errors import GateError
from tests.infra.test_gates import DIGEST, endpoint, space, switch_to

ADDRESSES = ["10.0.0.0", "10.0.0.1", "10.0.0.2"]


def seen(**changed):
    return Seen(**{"live": ADDRESSES, "slot": ADDRESSES, "answers": [DIGEST] * 5, **changed})


def test_the_slot_s_endpoints_and_its_answers_prove_a_switch():
    assert doubts("green", seen(), DIGEST) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (seen(live=[]), "has the ready endpoints []"),
        (seen(live=[], slot=[]), "has the ready endpoints []"),
        (seen(live=[*ADDRESSES, "10.0.0.9"]), "must be those of slot green"),
        (seen(live=ADDRESSES[:2]), "must be those of slot green"),
        (seen(answers=[]), "answers with record None"),
        (seen(answers=[DIGEST, "e" * 64]), "answers with record 'eeee"),
        (seen(answers=[None]), "answers with record None"),
    ],
)
def test_anything_less_is_a_doubt(found, said):
    assert said in "; ".join(doubts("green", found, DIGEST))


class Clock:
    def __init__(self):
        self.now, self.said = 0.0, []

    async def sleep(self, seconds):
        self.now += seconds

    def __call__(self):
        return self.now


def switched(live_endpoints=3):
    """A cluster right after the switch to green."""
    found = space(live="green")
    labels = {"kubernetes.io/service-name": "model"}
    endpoints = [endpoint(f"10.0.0.{index}", ready=True) for index in range(live_endpoints)]
    found.objects["endpointslice", "live"] = {"metadata": {"labels": labels}, "endpoints": endpoints}
    return found


def proof(found, clock, patience_s=5.0):
    return SwitchProof(
        objects=found,
        digests={"green": DIGEST},
        patience_s=patience_s,
        sleep=clock.sleep,
        clock=clock,
        say=clock.said.append,
    )


async def test_a_proven_switch_costs_no_waiting():
    clock = Clock()

    await proof(switched(), clock)(switch_to("green", "blue"))

    assert clock.now == 0.0
    assert clock.said == ["slot green has the traffic, proven 0.00 s after the switch"]


async def test_the_switch_is_written_down_once_it_is_proven():
    clock, written = Clock(), []

    await replace(proof(switched(), clock), note=lambda: written.append(1))(switch_to("green", "blue"))

    assert written == [1]


async def test_a_ledger_that_cannot_be_written_undoes_no_switch():
    found, clock = switched(), Clock()

    def note():
        raise GateError("ML-REL-151", "the release ledger of stack 'staging' was changed")

    await replace(proof(found, clock), note=note)(switch_to("green", "blue"))

    assert selected(found.one("service", "model")) == "green"
    assert "ML-REL-151" in clock.said[-1]
    assert "mlp release publish" in clock.said[-1]


async def test_endpoints_that_follow_late_are_waited_for():
    found, clock = switched(live_endpoints=2), Clock()

    async def sleep(seconds):
        await Clock.sleep(clock, seconds)
        found.objects["endpointslice", "live"]["endpoints"] = [endpoint(one, ready=True) for one in ADDRESSES]

    clock.sleep = sleep
    await proof(found, clock)(switch_to("green", "blue"))

    assert 0.0 < clock.now < 1.0


def stale(found):
    """The live Service still has the endpoints of the slot that it selected before."""
    found.objects["endpointslice", "live"]["endpoints"] = [endpoint(f"10.0.9.{n}", ready=True) for n in range(3)]
    return found


async def test_endpoints_that_nobody_has_moved_yet_are_waited_for_longer():
    """As after an API server that was away: controllers look again after up to a minute, and clients are served."""
    found, clock = stale(switched()), Clock()

    async def sleep(seconds):
        await Clock.sleep(clock, seconds)
        if clock.now > 60:
            found.objects["endpointslice", "live"]["endpoints"] = [endpoint(one, ready=True) for one in ADDRESSES]

    clock.sleep = sleep
    await proof(found, clock)(switch_to("green", "blue"))

    assert 60 < clock.now < 61


async def test_endpoints_that_never_move_are_given_up_and_the_selector_goes_back():
    found, clock = stale(switched()), Clock()

    with pytest.raises(GateError, match=r"not proven after 90 s; slot blue has the traffic again"):
        await proof(found, clock)(switch_to("green", "blue"))
    assert selected(found.one("service", "model")) == "blue"


async def test_a_live_service_without_endpoints_is_not_waited_for_longer():
    clock = Clock()

    with pytest.raises(GateError, match="not proven after 5 s"):
        await proof(switched(live_endpoints=0), clock)(switch_to("green", "blue"))


async def test_a_switch_that_is_not_proven_is_taken_back_at_once():
    found, clock = switched(live_endpoints=2), Clock()

    with pytest.raises(GateError) as caught:
        await proof(found, clock)(switch_to("green", "blue"))

    assert caught.value.code == "ML-GATE-210"
    assert "slot blue has the traffic again" in caught.value.message
    assert selected(found.one("service", "model")) == "blue"


async def test_the_first_release_has_nothing_to_go_back_to():
    found = switched(live_endpoints=0)
    first = switch_to("green", "blue")
    first.old_inputs = None

    with pytest.raises(GateError, match="there is no earlier slot to go back to"):
        await proof(found, Clock())(first)


async def test_an_earlier_slot_without_pods_is_not_gone_back_to():
    found = switched(live_endpoints=2)
    found.objects["deployment", "model-blue"]["status"]["readyReplicas"] = 0

    with pytest.raises(GateError, match="could not be undone"):
        await proof(found, Clock())(switch_to("green", "blue"))
    assert selected(found.one("service", "model")) == "green"
