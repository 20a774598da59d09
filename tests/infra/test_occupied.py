"""The release that has the traffic is never replaced in its own slot."""

import pytest

from infra.delivery.occupied import OccupiedSlotGate
from ml.errors import GateError, SurroundingsError


class Cluster:
    """A live Service that selects one slot."""

    def __init__(self, live):
        self.live = live

    def one(self, kind, name):
        if self.live is None:
            raise SurroundingsError("ML-X", "no answer", "")
        return {"spec": {"selector": {"ml-pipeline/slot": self.live}}}


def inputs(release, digest=None, cpu="1"):
    return {
        "metadata": {
            "labels": {"ml-pipeline/release": release},
            "annotations": {"ml-pipeline/record-digest": digest or release},
        },
        "spec": {"cpu": cpu},
    }


def change(live, old, new):
    OccupiedSlotGate(objects=Cluster(live), slot="blue").check(old, new)


@pytest.mark.parametrize("new", [inputs("flights-0002"), inputs("flights-0001", digest="edited")])
def test_another_record_in_the_slot_that_has_the_traffic_is_refused(new):
    with pytest.raises(GateError, match=r"ML-GATE-211.*model-blue has the traffic with flights-0001"):
        change("blue", inputs("flights-0001"), new)


def test_the_way_out_works_for_a_release_that_was_made_anew_under_its_own_id_too():
    for new, way in (
        (inputs("flights-0002"), "mlp release stage flights-0002: it goes into slot green"),
        (inputs("flights-0001", digest="anew"), "give the new one the next id"),
    ):
        with pytest.raises(GateError) as caught:
            change("blue", inputs("flights-0001"), new)
        assert way in str(caught.value)


def test_the_idle_slot_takes_any_release():
    change("green", inputs("flights-0001"), inputs("flights-0002"))


def test_a_new_slot_and_the_same_release_need_no_answer_of_the_cluster():
    change(None, None, inputs("flights-0001"))
    change(None, inputs("flights-0001"), inputs("flights-0001", cpu="2"))


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(GateError, match="ML-GATE-204"):
        change(None, inputs("flights-0001"), inputs("flights-0002"))
