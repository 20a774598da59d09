"""Giving the traffic back: one request, safe to repeat, and never to a slot that cannot take it."""

import json

import pytest

from infra.names import ROLLED_BACK_ANNOTATION
from ml.delivery.traffic import KEPT, RolledBack, give_back, rolled_back, selected
from ml.errors import GateError, TransientError
from tests.ml.stack.fakes import Namespace

MARK = RolledBack(
    release="flights-0002", record_digest="b" * 64, at="2013-08-01T00:00:00Z", why="errors: 0.2, limit 0.01"
)


@pytest.fixture
def space():
    found = Namespace()
    found.slot("blue", "flights-0001")
    found.slot("green", "flights-0002")
    found.live("green")
    return found


def test_traffic_and_mark_move_together(space):
    assert give_back(space, "blue", MARK)

    service = space.one("service", "model")
    assert selected(service) == "blue"
    assert rolled_back(service) == [MARK]
    assert len(space.patched) == 1


def test_again_changes_nothing(space):
    give_back(space, "blue", MARK)

    assert not give_back(space, "blue", MARK)
    assert len(space.patched) == 1


def test_a_rollback_that_a_person_asks_for_leaves_no_mark(space):
    give_back(space, "blue", None)

    assert rolled_back(space.one("service", "model")) == []


def test_marks_are_added_and_the_oldest_dropped(space):
    for index in range(KEPT + 5):
        mark = RolledBack(**{**vars_of(MARK), "record_digest": f"{index:064d}"})
        give_back(space, "blue", mark)

    kept = rolled_back(space.one("service", "model"))
    assert len(kept) == KEPT
    assert kept[-1].record_digest == f"{KEPT + 4:064d}"


def vars_of(mark):
    return {name: getattr(mark, name) for name in mark.__slots__}


@pytest.mark.parametrize("ready", [0, None])
def test_a_slot_without_a_ready_pod_gets_nothing(space, ready):
    space.objects["deployment", "model-blue"]["status"]["readyReplicas"] = ready

    with pytest.raises(GateError, match="ML-LIVE-001"):
        give_back(space, "blue", MARK)
    assert selected(space.one("service", "model")) == "green"


def test_a_slot_that_does_not_exist_gets_nothing(space):
    del space.objects["deployment", "model-blue"]

    with pytest.raises(GateError, match="has 0 ready pods"):
        give_back(space, "blue", MARK)


def test_somebody_else_s_change_in_between_is_seen_and_taken_in(space):
    space.before_patch = [lambda: space.objects["service", "model"]["metadata"].update(resourceVersion="77")]

    assert give_back(space, "blue", MARK)
    assert selected(space.one("service", "model")) == "blue"


def test_somebody_who_never_stops_is_an_error_that_says_so(space):
    space.before_patch = [
        (lambda version=version: space.objects["service", "model"]["metadata"].update(resourceVersion=str(version)))
        for version in range(100, 120)
    ]

    with pytest.raises(TransientError, match="ML-LIVE-003"):
        give_back(space, "blue", MARK)


@pytest.mark.parametrize("text", ["", "null", "{", "[1]", "[{}]", '[{"release": "x"}]', "{}x"])
def test_an_annotation_that_is_not_ours_is_refused(text):
    with pytest.raises(GateError, match="ML-LIVE-002"):
        rolled_back({"metadata": {"annotations": {ROLLED_BACK_ANNOTATION: text}}})


def test_what_to_type_names_the_namespace():
    service = {"metadata": {"namespace": "ml-prod", "annotations": {ROLLED_BACK_ANNOTATION: "{"}}}

    with pytest.raises(GateError, match="kubectl -n ml-prod annotate service model"):
        rolled_back(service)


def test_a_mark_survives_being_written_down():
    service = {"metadata": {"annotations": {ROLLED_BACK_ANNOTATION: json.dumps([vars_of(MARK)])}}}

    assert rolled_back(service) == [MARK]
