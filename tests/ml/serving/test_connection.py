"""What a connection does with requests and answers: order, pipelining, the last answer, clients that leave."""

import pytest

from ml.serving.connection import AT_ONCE, CONTINUE
from tests.ml.serving.wire import Application, Clock, Wire, chunked, get, post


def test_a_request_in_any_pieces_is_one_request() -> None:
    whole, pieces = Wire(), Wire()
    request = post(b'{"features": [1]}')

    whole.send(request)
    pieces.send(*(request[index : index + 1] for index in range(len(request))))

    assert whole.transport.sent == pieces.transport.sent
    (reply,) = whole.replies()
    assert (reply.status, reply.json) == (200, {"path": "/predict", "body": '{"features": [1]}'})
    assert reply.headers[b"x-request-id"] == b"id"
    assert b"connection" not in reply.headers
    assert reply.headers[b"date"].endswith(b"GMT")


def test_a_chunked_body_is_put_together() -> None:
    wire = Wire()

    wire.send(b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b'{"a"', b":1}"), get())

    assert [reply.json["body"] for reply in wire.replies()] == ['{"a":1}', ""]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/health?x=1", "/health"),
        ("http://host/health?x", "/health"),
        ("*", "*"),
        ("host:1", ""),
        ("/%68ealth", "/%68ealth"),
    ],
)
def test_the_path_of_a_target(target: str, path: str) -> None:
    wire = Wire()

    wire.send(get(target))

    assert wire.app.handled[0].path == path


def test_head_gets_the_length_and_no_body() -> None:
    wire = Wire()

    wire.send(b"HEAD /health HTTP/1.1\r\n\r\n", get())

    head, _, rest = wire.transport.sent.partition(b"\r\n\r\n")
    assert b"content-length: 28" in head
    assert rest.startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_one_after_another_in_their_order() -> None:
    wire = Wire(Application(later=True))

    wire.send(post(b"1") + post(b"2") + post(b"3"))
    assert [request.body for request in wire.app.handled] == [b"1"]
    assert wire.transport.paused
    wire.app.answer()
    wire.app.answer()
    assert wire.transport.paused is False
    wire.app.answer()

    assert [request.body for request in wire.app.handled] == [b"1", b"2", b"3"]
    assert len(wire.replies()) == 3


def test_a_client_that_pipelines_lets_others_have_their_turn() -> None:
    wire = Wire()

    wire.send(get() * (AT_ONCE + 3))

    assert len(wire.replies()) == AT_ONCE
    wire.clock.turn()
    assert len(wire.replies()) == AT_ONCE + 3
    assert wire.transport.paused is False


def test_a_client_that_does_not_read_its_answers_is_not_read_from_and_dropped_in_the_end() -> None:
    wire = Wire(body_s=10)
    wire.connection.pause_writing()

    wire.send(get())
    assert wire.app.handled == []
    assert wire.transport.paused
    wire.connection.resume_writing()
    assert len(wire.replies()) == 1
    wire.connection.pause_writing()
    wire.after(9)
    assert not wire.transport.aborted
    wire.after(2)

    assert wire.transport.aborted


@pytest.mark.parametrize("request_", [get("/health", "Connection: close"), b"GET /health HTTP/1.0\r\n\r\n"])
def test_a_client_that_asks_for_the_end_gets_it_after_its_answer(request_: bytes) -> None:
    wire = Wire()

    wire.send(request_ + get())

    (reply,) = wire.replies()
    assert reply.headers[b"connection"] == b"close"
    assert wire.transport.eof
    assert not wire.transport.closed  # it lingers: a reset would destroy the answer
    wire.after(3)
    assert wire.transport.aborted


def test_a_client_that_closes_its_side_still_gets_its_answer() -> None:
    wire = Wire(Application(later=True))

    wire.send(post())
    stays = wire.connection.eof_received()
    wire.app.answer()

    assert stays
    assert len(wire.replies()) == 1
    assert wire.transport.closed


def test_a_client_that_closes_its_side_without_a_request_is_gone() -> None:
    wire = Wire()
    wire.send(post()[:30])

    assert not wire.connection.eof_received()


def test_the_work_of_a_client_that_is_gone_is_cancelled() -> None:
    wire = Wire(Application(later=True))
    wire.send(post(b"1") + post(b"2"))
    work, _ = wire.app.waiting[0]

    wire.connection.connection_lost(None)
    reply_after_the_end = wire.transport.sent

    assert work.cancelled
    assert len(wire.app.handled) == 1
    assert reply_after_the_end == b""
    assert wire.pool.connections == {}


def test_expect_100_gets_leave_before_the_body() -> None:
    wire = Wire()
    head, body = post(b"{}", "Expect: 100-continue")[:-2], b"{}"

    wire.send(head)
    assert wire.transport.sent == CONTINUE
    wire.send(body)

    assert wire.replies()[0].status == 200


def test_no_leave_is_given_in_the_middle_of_another_answer() -> None:
    wire = Wire(Application(later=True))

    wire.send(post(b"1"), post(b"2", "Expect: 100-continue"))

    assert wire.transport.sent == b""


@pytest.mark.parametrize("reason", ["draining", "old"])
def test_an_answer_asks_to_leave_when_the_server_drains_or_the_connection_is_old(reason: str) -> None:
    wire = Wire(age_s=10, age_jitter=0.2)
    wire.send(get())
    wire.pool.draining = reason == "draining"
    wire.after(12.1 if reason == "old" else 0)
    assert not wire.transport.closed

    wire.send(get())

    before, after = wire.replies()
    assert b"connection" not in before.headers
    assert after.headers[b"connection"] == b"close"
    assert wire.transport.eof


def test_a_young_connection_stays_and_ages_differ() -> None:
    clock = Clock()
    first = Wire(age_s=10, clock=clock)
    wires = [first, *(Wire(pool=first.pool, clock=clock) for _ in range(40))]
    for wire in wires:
        wire.send(get())

    left = []
    for _ in range(50):
        first.after(0.1 if left else 7.9)
        for wire in wires:
            if not wire.transport.eof:
                wire.send(get())
        left.append(sum(wire.transport.eof for wire in wires))

    assert left[0] == 0
    assert left[-1] == len(wires)
    assert len(set(left)) > 5  # not all at once


def test_an_old_connection_is_not_ended_before_requests_that_it_has_sent_already() -> None:
    wire = Wire(Application(later=True), age_s=10, header_s=100)
    wire.after(12.1)

    wire.send(post(b"1") + post(b"2") + post(b"3")[:20])
    wire.app.answer()
    wire.app.answer()
    wire.send(post(b"3")[20:])
    wire.app.answer()

    assert [reply.headers.get(b"connection") for reply in wire.replies()] == [None, None, b"close"]


def test_a_client_that_never_pauses_is_ended_at_twice_the_age() -> None:
    wire = Wire(Application(later=True), age_s=10, header_s=100)
    wire.after(22.1)

    wire.send(post(b"1") + post(b"2"))
    wire.app.answer()

    assert wire.replies()[0].headers[b"connection"] == b"close"
    assert len(wire.app.handled) == 1


def test_a_stop_closes_idle_connections_only() -> None:
    clock = Clock()
    busy = Wire(Application(later=True), clock=clock)
    idle, half_sent = Wire(pool=busy.pool, clock=clock), Wire(pool=busy.pool, clock=clock)
    busy.send(post())
    half_sent.send(post()[:30])

    busy.pool.close_idle()

    assert (busy.transport.closed, idle.transport.closed, half_sent.transport.closed) == (False, True, False)
