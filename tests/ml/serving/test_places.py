"""The number of connections is bounded, and nobody can keep all places."""

import pytest

from tests.ml.serving.wire import Application, Clock, Wire, get, post

UNFINISHED = b"POST /predict HTTP/1.1\r\nContent-Length: 500\r\n\r\n{"


def test_over_the_number_of_connections_predictions_are_shed_and_probes_are_answered() -> None:
    clock = Clock()
    first = Wire(clock=clock, connections=2)
    _, third = Wire(pool=first.pool, app=first.app, clock=clock), Wire(pool=first.pool, app=first.app, clock=clock)

    third.send(get())
    first.send(post())

    assert [wire.replies()[0].status for wire in (third, first)] == [200, 503]
    assert {wire.replies()[0].headers[b"connection"] for wire in (third, first)} == {b"close"}
    assert first.replies()[0].headers[b"retry-after"] == b"1"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", UNFINISHED], ids=["nothing", "header", "body"])
def test_stuck_connections_cannot_keep_all_places(sent: bytes) -> None:
    clock = Clock()
    first = Wire(clock=clock, connections=3, stuck_s=1)
    stuck = [Wire(pool=first.pool, app=first.app, clock=clock) for _ in range(2)]
    first.send(get())
    for wire in stuck:
        wire.send(sent)
    clock.now += 1.1

    healthy = [Wire(pool=first.pool, app=first.app, clock=clock) for _ in range(2)]
    for wire in healthy:
        wire.send(post())

    assert [wire.transport.aborted for wire in (first, *stuck)] == [False, True, True]
    assert [wire.replies()[0].status for wire in healthy] == [200, 200]


def test_a_client_that_has_just_come_or_asked_something_is_not_stuck() -> None:
    clock = Clock()
    first = Wire(Application(later=True), clock=clock, connections=2, stuck_s=1)
    first.send(post())
    clock.now += 1.1
    young, third = (Wire(pool=first.pool, app=first.app, clock=clock) for _ in range(2))

    third.send(post())

    assert not first.transport.aborted
    assert not young.transport.aborted
    assert third.replies()[0].status == 503
