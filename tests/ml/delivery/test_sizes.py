"""How big a slot must be, given two sizes, and what is read from the objects of the cluster."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.delivery.sizes import Size, forbidden, needed, size_of, unplaced, wait_s

NOW = datetime(2013, 8, 1, 12, tzinfo=UTC)


def size(ready: int, least: int = 3, most: int = 6, asked: int | None = None) -> Size:
    return Size(asked=ready if asked is None else asked, ready=ready, least=least, most=most)


@pytest.mark.parametrize(
    ("live", "target", "pods"),
    [
        (size(3), size(3), None),
        (size(2), size(3), None),
        (size(6), size(3), 6),
        (size(6), size(6), 6),  # it has them, and its autoscaler would let them go
        (size(4), size(3), 4),
        (size(9), size(3), 6),  # its maximum was lowered
        (size(0), size(3), None),  # the live slot is broken: nothing must hold a rollback up
        (size(6), size(0), 6),
        (size(6), size(3, least=6), 6),  # its minimum was raised a moment ago, by an update that was killed
        (size(6), size(6, least=6, asked=3), 6),  # it is about to shrink
        (size(3), size(2, asked=3), 3),  # it comes up
        (size(6), size(6, least=6), None),
    ],
)
def test_the_target_needs_what_serves_now_unless_it_has_that_to_stay(
    live: Size, target: Size, pods: int | None
) -> None:
    assert needed(live, target) == pods


@given(st.integers(0, 100), st.integers(1, 100), st.integers(0, 100))
def test_nothing_more_is_needed_exactly_when_as_many_are_there_to_stay(ready: int, least: int, more: int) -> None:
    target = size(least, least=least, most=least + more)

    pods = needed(size(ready), target)

    assert (pods is None) == (least >= min(ready, target.most))
    assert pods is None or least < pods <= min(ready, target.most)


def test_a_size_is_in_a_deployment_and_its_autoscaler() -> None:
    deployment: dict[str, Any] = {"spec": {"replicas": 4}, "status": {"readyReplicas": 2}}
    autoscaler = {"spec": {"minReplicas": 3, "maxReplicas": 6}}

    assert size_of(deployment, autoscaler) == Size(asked=4, ready=2, least=3, most=6)
    # What the API server leaves out: no pod is ready, one is the default.
    assert size_of({"spec": {}}, {"spec": {"maxReplicas": 6}}) == Size(asked=1, ready=0, least=1, most=6)


def failure(status: str, **more: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": "ReplicaFailure", "status": status, **more}]}}


def test_what_the_api_server_refuses_is_said_in_its_own_words() -> None:
    assert forbidden(failure("True", message="exceeded quota: quota")) == "exceeded quota: quota"
    assert forbidden(failure("True", reason="FailedCreate")) == "FailedCreate"


@pytest.mark.parametrize("deployment", [{}, {"status": {}}, failure("False", message="exceeded quota")])
def test_without_such_a_condition_nothing_is_refused(deployment: dict[str, Any]) -> None:
    assert forbidden(deployment) == ""


def pod(slot: str, status: str, message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": status, "message": message}
    return {"metadata": {"labels": {"slot": slot}}, "status": {"conditions": [condition]}}


def test_why_no_node_takes_the_slot_s_pods_is_said_once_and_not_of_others() -> None:
    pods = [
        pod("green", "False", "0/1 nodes are available: 1 Insufficient cpu."),
        pod("green", "False", "0/1 nodes are available: 1 Insufficient cpu."),
        pod("green", "True", ""),
        pod("blue", "False", "of another slot"),
        {"metadata": {}, "status": {}},
    ]

    assert unplaced(pods, {"slot": "green"}) == ["0/1 nodes are available: 1 Insufficient cpu."]


def marked(at: str | None) -> dict[str, Any]:
    return {"metadata": {"annotations": {} if at is None else {"ml-pipeline/raised": at}}}


@pytest.mark.parametrize(
    ("at", "left"),
    [
        (None, None),
        (NOW.isoformat(), 120.0),
        ((NOW - timedelta(seconds=100)).isoformat(), 20.0),
        ((NOW - timedelta(days=3)).isoformat(), 0.0),
        ((NOW + timedelta(days=3)).isoformat(), 120.0),  # another clock
        ("yesterday", 0.0),
        ("2013-08-01T12:00:00", 0.0),  # without an offset it is nobody's time
    ],
)
def test_a_raised_minimum_goes_back_once_the_load_has_shown(at: str | None, left: float | None) -> None:
    assert wait_s(marked(at), NOW, 120.0) == left
