"""The real process and clients that mean no good: sockets that trickle, bodies without end. Others notice nothing.

Times are the server's deadlines, not a machine's speed; `make bench-serving` measures speed.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from ml.serving.http import MAX_BODY_BYTES
from tests.ml.serving import rude
from tests.ml.serving.client import KEY
from tests.ml.serving.process import Server
from tests.ml.serving.releases import make_release

pytestmark = pytest.mark.integration

ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
HEADERS = {"X-API-Key": KEY}
SLOW = 200
DEADLINE_S = 1.5
UPLOADS = 32
UPLOAD_BYTES = 10 * 1024 * 1024


@pytest.fixture
def server(tmp_path: Path, keys_file: Path) -> Iterator[Server]:
    folder = tmp_path / "model"
    limits = {"HEADER_SECONDS": str(DEADLINE_S), "BODY_SECONDS": str(DEADLINE_S)}
    started = Server(folder, make_release(folder), keys_file, DRAIN_SECONDS="0", GRACE_SECONDS="1", **limits)
    with started:
        yield started


def test_two_hundred_sockets_that_trickle_are_closed_at_the_deadline_and_hurt_nobody(server: Server) -> None:
    healthy: list[int] = []
    with (
        httpx.Client(base_url=server.url, headers=HEADERS) as client,
        rude.Trickle(server.port, KEY, SLOW) as trickle,
        ThreadPoolExecutor(1) as beside,
    ):
        slow = beside.submit(trickle.go_on, DEADLINE_S + 5, 0.05)
        while not slow.done():
            healthy.append(client.post("/predict", json=ROW).status_code)
        slow.result()
        kept = [one.closed_s for one in trickle.slow if one.closed_s is not None]
        answers = {one.status[:12] for one in trickle.slow}

    assert len(kept) == SLOW
    assert min(kept) >= DEADLINE_S - 0.1
    assert max(kept) <= DEADLINE_S + 2.5  # the sweep, the lingering, and a busy machine
    assert answers == {"HTTP/1.1 408"}
    assert set(healthy) == {200}
    assert len(healthy) > 20
    series = httpx.get(f"{server.url}/metrics").text
    assert f'ml_prediction_errors_total{{reason="timeout",version="iris-0001"}} {SLOW}' in series


@pytest.mark.parametrize("form", [rude.declared, rude.chunked])
def test_large_bodies_get_their_refusal_and_bound_the_memory(server: Server, form: rude.Form) -> None:
    process = psutil.Process(server.process.pid)
    httpx.post(f"{server.url}/predict", json=ROW, headers=HEADERS).raise_for_status()
    before = process.memory_info().rss
    peak, healthy = before, []
    # Made before: it takes longer than all the uploads may.
    with httpx.Client(base_url=server.url, headers=HEADERS) as other, ThreadPoolExecutor(1) as beside:
        sent = beside.submit(rude.uploads, server.port, KEY, form, b" " * UPLOAD_BYTES, UPLOADS)
        while not healthy or not sent.done():
            peak = max(peak, process.memory_info().rss)
            healthy.append(other.post("/predict", json=ROW).status_code)
        answers = sent.result()

    assert len(answers) == UPLOADS
    assert {answer[:12] for answer in answers} <= {"HTTP/1.1 413", "HTTP/1.1 503"}
    assert any(answer.startswith("HTTP/1.1 413") for answer in answers)
    assert set(healthy) == {200}
    assert peak - before < 2 * 16 * 1024 * 1024  # twice what the limits let it keep, of 320 MiB sent


@pytest.mark.parametrize("form", [rude.declared, rude.chunked])
def test_a_body_of_just_the_limit_is_answered(server: Server, form: rude.Form) -> None:
    answer = rude.upload(server.port, KEY, form, json.dumps(ROW).encode().ljust(MAX_BODY_BYTES))

    assert answer == "HTTP/1.1 200 OK"


def test_a_key_is_rotated_under_load_without_a_restart_or_a_failed_request(server: Server, keys_file: Path) -> None:
    new = "the-next-key"
    hashes = [hashlib.sha256(key.encode()).hexdigest() for key in (KEY, new)]

    def status(key: str) -> int:
        return httpx.post(f"{server.url}/predict", json=ROW, headers={"X-API-Key": key}).status_code

    def until(key: str, wanted: int) -> float:
        """Seconds until a key gets the wanted answer; meanwhile nobody with a valid key is refused."""
        started = time.monotonic()
        while status(key) != wanted:
            assert time.monotonic() < started + 5
            time.sleep(0.02)
        return time.monotonic() - started

    assert (status(KEY), status(new)) == (200, 401)
    _replace(keys_file, "\n".join(hashes))
    until(new, 200)
    assert status(KEY) == 200
    _replace(keys_file, hashes[1])
    dead_after = until(KEY, 401)

    assert status(new) == 200
    assert dead_after <= 2
    _, log = server.stop()
    assert KEY not in str(log)
    assert new not in str(log)


def _replace(path: Path, text: str) -> None:
    """As the kubelet does: the name points to another file from one moment to the next."""
    other = path.with_name("new")
    other.write_text(text + "\n", encoding="utf-8")
    other.replace(path)


def test_a_keep_alive_client_is_moved_by_the_age_of_its_connection(tmp_path: Path, keys_file: Path) -> None:
    """What a switch of the Service's selector relies on; with the age off, the client stays for ever."""
    folder = tmp_path / "model"
    release = make_release(folder)

    def connections_in(seconds: float, age: str) -> int:
        server = Server(folder, release, keys_file, CONNECTION_AGE_SECONDS=age, DRAIN_SECONDS="0")
        try:
            server.wait_ready()
            return _used(server, seconds)
        finally:
            server.process.kill()
            server.process.communicate()

    assert connections_in(1.5, "0.4") >= 3
    assert connections_in(1.5, "0") == 1


def _used(server: Server, seconds: float) -> int:
    """How many connections one client needs, all its requests being answered."""
    told_to_leave = 0
    until = time.monotonic() + seconds
    with httpx.Client(base_url=server.url, headers=HEADERS) as client:
        while time.monotonic() < until:
            reply = client.post("/predict", json=ROW)
            assert reply.status_code == 200
            told_to_leave += reply.headers.get("connection") == "close"
    return told_to_leave + 1
