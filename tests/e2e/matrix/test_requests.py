"""Requests that mean no good, over the live Service: bodies without end, sockets that trickle."""

import json
import time
from collections import Counter

import psutil
import pytest

from ml.serving.http import MAX_BODY_BYTES
from ml.serving.pool import Limits
from tests.e2e.bench import Bench
from tests.e2e.matrix.groups import Growth, groups
from tests.e2e.matrix.rows import Row, row
from tests.e2e.two_releases import PORT
from tests.ml.serving.rude import Form, Trickle, chunked, declared, upload, uploads

pytestmark = pytest.mark.e2e

UPLOADS, UPLOAD_BYTES, ROUNDS, NICENESS = 32, 10 * 1024 * 1024, 4, 10
MOST_MIB = 48
"""Twice the 16 MiB of unfinished bodies that a server keeps, and what the kernel keeps of its sockets: of 320 MiB."""
UNNOTICED_S = 0.1
"""Below it a p95 of two busy processors is the scheduler's, not the server's."""
SLOW, LATE_S = 200, 2.5
"""How late a deadline may be kept: the sweep, the lingering, and a busy machine."""


@pytest.mark.smoke
def test_row_41_bodies_of_ten_megabytes(bench: Bench) -> None:
    with row(41, "32 bodies of 10 MB at once, with a length said before and chunked") as result:
        _bodies_of_just_the_limit(bench, result)
        slot = bench.live()
        restarts = bench.restarts(slot)
        with bench.clients() as before:
            time.sleep(4)
        with Growth(groups(bench.pods(slot))) as growth, bench.clients() as clients:
            answers = {form.__name__: _uploading(bench, form) for form in (declared, chunked)}
        seen, usual_s = clients.seen, before.seen.p95_s
        sent = sum(sum(found.values()) for found in answers.values())
        result.control("so many bodies were sent", sent == 2 * ROUNDS * UPLOADS, sent)

        result.facts |= {"answers": answers, "growth_mib": growth.mib, "most_mib": MOST_MIB}
        result.facts |= {"p95_s": seen.p95_s, "p95_before_s": usual_s}
        for form, found in answers.items():
            too_large, too_many = (
                sum(number for status, number in found.items() if status.startswith(f"HTTP/1.1 {code}"))
                for code in (413, 503)
            )
            assert too_large + too_many == sum(found.values()), f"{form}: each must be refused: {found}"
            assert too_large > too_many, f"{form}: {found}"
        assert bench.restarts(slot) == restarts, f"containers were started again: {bench.restarts(slot) - restarts}"
        assert max(growth.mib.values()) <= MOST_MIB, f"memory of the containers, MiB: {growth.mib}"
        assert seen.p95_s <= max(3 * usual_s, UNNOTICED_S), f"p95 {seen.p95_s} s, before {usual_s} s"
        result.lost_nothing(seen)


def _bodies_of_just_the_limit(bench: Bench, result: Row) -> None:
    body = json.dumps({"features": bench.rows[0]}).encode().ljust(MAX_BODY_BYTES)
    for form in (declared, chunked):
        answer = upload(PORT, bench.key, form, body)
        result.control(f"a body of just the limit is answered, {form.__name__}", answer == "HTTP/1.1 200 OK", answer)


def _uploading(bench: Bench, form: Form) -> dict[str, int]:
    """All at once, every second anew: how often each answer was given."""
    body, found = b" " * UPLOAD_BYTES, Counter[str]()
    for _ in range(ROUNDS):
        started = time.monotonic()
        found.update(uploads(PORT, bench.key, form, body, UPLOADS, niceness=NICENESS))
        time.sleep(max(0.0, started + 1 - time.monotonic()))
    return dict(found)


@pytest.mark.smoke
def test_row_42_sockets_that_trickle(bench: Bench) -> None:
    with row(42, "200 sockets that dribble a byte a second, half in headers and half in bodies") as result:
        limits = Limits()
        deadlines = {"header": limits.header_s, "body": limits.body_s}
        with bench.clients() as clients, Trickle(PORT, bench.key, SLOW) as trickle:
            there = _established()
            result.control(f"{SLOW} connections are established", there >= SLOW, there)
            trickle.go_on(3)
            left = len(trickle.left)
            result.control("after three seconds none is closed and none has got a word", left == SLOW, left)
            trickle.go_on(limits.body_s + LATE_S + 2)

        closed = {part: [one.closed_s for one in trickle.slow if one.part == part] for part in deadlines}
        result.facts["statuses"] = dict(Counter(one.status for one in trickle.slow))
        for part, limit_s in deadlines.items():
            times = sorted(each for each in closed[part] if each is not None)
            result.facts[part] = {"closed": len(times), "first_s": times[:1], "last_s": times[-1:], "limit_s": limit_s}
            assert len(times) == SLOW / 2, f"{part}: {SLOW // 2 - len(times)} are still open after {times[-1:]} s"
            assert times[0] >= limit_s - 0.5, f"{part}: closed before the deadline, for another reason: {times[0]} s"
            assert times[-1] <= limit_s + LATE_S, f"{part}: closed {times[-1]} s after it was opened"
        result.lost_nothing(clients.seen)


def _established() -> int:
    """Connections of this process to the Service, as the kernel counts them."""
    found = psutil.Process().net_connections(kind="tcp")
    return sum(one.status == psutil.CONN_ESTABLISHED and one.raddr and one.raddr.port == PORT for one in found)
