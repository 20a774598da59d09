"""What a client may take of the server: sizes, times, memory. Each refused one gets an answer and no more."""

import pytest

from ml.serving.http import MAX_BODY_BYTES, Request, RequestError
from ml.serving.pool import Limits
from tests.ml.serving.wire import Application, Clock, Wire, chunked, get, post

CHUNKED = b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
KIB_64 = b" " * 65536


def declared(length: int) -> bytes:
    return b"POST /predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % length


def test_a_body_is_refused_by_its_declared_length_before_it_is_sent() -> None:
    wire = Wire()

    wire.send(declared(MAX_BODY_BYTES + 1))

    (reply,) = wire.replies()
    assert (reply.status, reply.error, reply.headers[b"connection"]) == (413, "body_too_large", b"close")
    assert wire.pool.buffered == 0


def test_a_chunked_body_is_refused_once_it_is_over_the_limit_and_its_rest_is_thrown_away() -> None:
    wire = Wire()

    wire.send(CHUNKED)
    for _ in range(160):
        wire.send(chunked(KIB_64)[:-5])

    assert [reply.status for reply in wire.replies()] == [413]
    assert wire.pool.buffered == 0


def test_a_chunked_body_of_a_byte_over_the_limit_is_refused_with_that_byte() -> None:
    wire = Wire()

    wire.send(CHUNKED)
    for _ in range(16):
        wire.send(chunked(KIB_64)[:-5])
    assert wire.replies() == []
    wire.send(b"1\r\n \r\n")

    assert [reply.status for reply in wire.replies()] == [413]


@pytest.mark.parametrize("way", ["declared", "chunked"])
def test_a_body_of_exactly_the_limit_is_read(way: str) -> None:
    wire = Wire()

    wire.send(declared(MAX_BODY_BYTES) if way == "declared" else CHUNKED)
    for _ in range(16):
        wire.send(KIB_64 if way == "declared" else chunked(KIB_64)[:-5])
    if way == "chunked":
        wire.send(b"0\r\n\r\n")

    assert len(wire.app.handled[0].body) == MAX_BODY_BYTES
    assert wire.replies()[0].status == 200
    assert wire.pool.buffered == 0


def test_tiny_chunks_do_not_get_around_the_limit() -> None:
    wire = Wire()

    wire.send(CHUNKED)
    for _ in range(4 * MAX_BODY_BYTES // 65536):
        wire.send(b"1;" + b"x" * 65530 + b"\r\n \r\n")

    assert [reply.status for reply in wire.replies()] == [413]


def test_an_endless_trailer_does_not_get_around_the_limit() -> None:
    wire = Wire()

    wire.send(CHUNKED + b"0\r\nTrailer: ")
    for _ in range(4 * MAX_BODY_BYTES // 65536):
        wire.send(b"x" * 65536)

    assert [reply.status for reply in wire.replies()] == [413]


@pytest.mark.parametrize(
    "header",
    [
        [get("/health", "X-Big: " + "x" * 17_000)],
        [get("/" + "x" * 17_000)],
        [get("/health", *(f"X-{index}: {'x' * 90}" for index in range(200)))],
        [b"GET /health HTTP/1.1\r\nX-Big: ", *([b"x" * 1000] * 40)],
        [b"GET /", *([b"x" * 1000] * 40)],
    ],
    ids=["one header", "target", "many headers", "trickled header", "trickled target"],
)
def test_a_header_over_the_limit_is_refused(header: list[bytes]) -> None:
    wire = Wire()

    wire.send(*header)

    (reply,) = wire.replies()
    assert (reply.status, reply.error, reply.headers[b"connection"]) == (431, "header_too_large", b"close")
    assert wire.transport.eof


def test_a_header_within_the_limit_is_read_whatever_came_before_it_in_the_same_piece() -> None:
    wire = Wire()
    large = get("/health", "X-Big: " + "x" * 15_000)

    wire.send(large * 3 + large[:9000], large[9000:])

    assert [reply.status for reply in wire.replies()] == [200] * 4


def test_a_header_that_does_not_end_is_refused_at_its_deadline_however_it_trickles() -> None:
    wire = Wire(header_s=5)
    wire.send(get())  # a first request does not help
    wire.after(30)
    wire.send(b"GET / HTTP/1.1\r\n")
    for _ in range(9):
        wire.after(0.5)
        wire.send(b"X: y\r\n")
    assert len(wire.replies()) == 1

    wire.after(1)

    assert [reply.status for reply in wire.replies()] == [200, 408]
    assert wire.transport.eof


def test_a_body_that_does_not_end_is_refused_at_its_deadline_however_it_trickles() -> None:
    wire = Wire(body_s=10)
    wire.send(declared(500))
    for _ in range(19):
        wire.after(0.5)
        wire.send(b" ")
    assert wire.replies() == []

    wire.after(1)

    assert [reply.error for reply in wire.replies()] == ["timeout"]
    wire.after(3)
    assert wire.transport.aborted


def test_a_connection_that_says_nothing_is_closed() -> None:
    wire = Wire(header_s=5)

    wire.after(4.9)
    assert not wire.transport.closed
    wire.send(b"\r\n")
    wire.after(0.2)

    assert wire.transport.closed
    assert wire.transport.sent == b""


def test_a_connection_between_requests_may_wait_longer() -> None:
    wire = Wire(header_s=5, idle_s=75)
    wire.send(get())

    wire.after(74)
    assert not wire.transport.closed
    wire.after(2)

    assert wire.transport.closed


def test_no_deadline_cuts_a_request_that_is_being_answered() -> None:
    wire = Wire(Application(later=True), header_s=5, body_s=10, idle_s=75)
    wire.send(post())

    wire.after(500)
    wire.app.answer()

    assert wire.replies()[0].status == 200


def test_a_client_that_still_sends_after_its_refusal_is_dropped_after_a_while() -> None:
    wire = Wire(linger_s=2)
    wire.send(declared(10**9))
    for _ in range(8):
        wire.send(KIB_64)
        wire.after(0.2)
    assert not wire.transport.aborted

    wire.after(0.5)

    assert wire.transport.aborted


def test_unfinished_bodies_of_all_connections_are_bounded_together() -> None:
    clock = Clock()
    first = Wire(clock=clock)
    wires = [first, *(Wire(pool=first.pool, app=first.app, clock=clock) for _ in range(31))]
    for wire in wires:
        wire.send(CHUNKED)
    for _ in range(15):
        for wire in wires:
            wire.send(chunked(KIB_64)[:-5])

    statuses = [reply.status for wire in wires for reply in wire.replies()]

    assert set(statuses) == {503}
    assert 0 < len(statuses) < 32
    assert first.pool.buffered <= Limits().buffered_bytes
    for wire in wires:
        wire.connection.connection_lost(None)
    assert first.pool.buffered == 0


class Closed(Application):
    """Refuses every key."""

    def admit(self, request: Request) -> None:
        super().admit(request)
        request.refusal = RequestError(401, "unauthenticated", "no")


def test_nothing_is_kept_of_a_body_without_a_valid_key() -> None:
    wire = Wire(Closed())

    wire.send(declared(MAX_BODY_BYTES))
    for _ in range(15):
        wire.send(KIB_64)
        assert wire.pool.buffered == 0
    wire.send(KIB_64, get())

    assert [reply.status for reply in wire.replies()] == [401, 401]
    assert wire.app.handled[0].body == b""


def test_a_refused_client_that_waits_for_leave_is_not_given_it() -> None:
    wire = Wire(Closed())

    wire.send(b"POST /predict HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")

    assert wire.transport.sent.startswith(b"HTTP/1.1 401")
    assert wire.replies()[0].headers[b"connection"] == b"close"


def test_a_client_that_is_not_read_from_is_not_blamed_for_being_slow() -> None:
    wire = Wire(Application(later=True), header_s=5)
    wire.send(post(b"1") + post(b"2") + post(b"3")[:20])

    wire.after(6)
    wire.app.answer()
    wire.after(4)
    wire.send(post(b"3")[20:])
    wire.app.answer()
    wire.app.answer()

    assert [reply.status for reply in wire.replies()] == [200] * 3


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"BREW /predict HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"POST /predict HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST /predict HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc",
        b"POST /predict HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        CHUNKED + b"zz\r\n",
        b"GET /health HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
        b"GET /health HTTP/1.1\nHost: x\n\n",
        b"GET /health HTTP/1.1\r\nX y: a\r\n\r\n",
        b"GET /health HTTP/1.1\r\nX: \x00\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_once_and_nothing_behind_it_is_read(raw: bytes) -> None:
    """Two lengths, or a length that two servers read differently, are how a request is smuggled past a proxy."""
    wire = Wire()

    wire.send(get() + raw, get())

    first, second = wire.replies()
    assert (first.status, second.status, second.error) == (200, 400, "malformed_http")
    assert second.headers[b"connection"] == b"close"


def test_an_upgrade_is_ignored_without_a_body_and_refused_with_one() -> None:
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")
    without, with_body = Wire(), Wire()

    without.send(get("/health", *upgrade))
    with_body.send(post(b"{}", *upgrade))

    assert [reply.status for reply in without.replies()] == [200]
    assert [reply.error for reply in with_body.replies()] == ["upgrade_refused"]
    assert without.transport.eof
    assert with_body.transport.eof
