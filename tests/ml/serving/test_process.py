"""The real process: starts, answers over sockets, survives rude clients, stops without losing a request."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ml.serving.client import KEY
from tests.ml.serving.process import Server
from tests.ml.serving.releases import make_release

pytestmark = pytest.mark.integration

ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
HEADERS = {"Authorization": f"Bearer {KEY}"}
ROOT = Path(__file__).parents[3]


@pytest.fixture
def server(tmp_path: Path, keys_file: Path) -> Iterator[Server]:
    folder = tmp_path / "model"
    started = Server(folder, make_release(folder), keys_file, DRAIN_SECONDS="1", GRACE_SECONDS="2")
    with started:
        yield started


def test_it_answers_over_http_and_stops_with_a_clean_log(server: Server) -> None:
    with httpx.Client(base_url=server.url, headers=HEADERS) as client:
        answer = client.post("/predict", json=ROW)
        chunked = client.post("/predict", content=iter([b'{"features":', b"[5.1,3.5,1.4,0.2]}"]))
        too_large = client.post("/predict", content=iter([b" " * 65536] * 32))
        health = client.head("/health")

    code, log = server.stop()

    assert answer.json()["prediction"] == "setosa"
    assert chunked.json() == answer.json()
    assert (too_large.status_code, too_large.json()["error"]["code"]) == (413, "body_too_large")
    assert health.status_code == 200
    assert code == 0
    assert [line["event"] for line in log] == ["starting", "ready", "draining", "stopped"]
    assert KEY not in json.dumps(log)


def test_a_client_that_stops_sending_its_body_does_not_hold_up_the_others(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Length: 500\r\n\r\n{{"
        slow.sendall(head.encode())
        for _ in range(20):
            assert httpx.post(f"{server.url}/predict", json=ROW, headers=HEADERS).status_code == 200


def test_a_stop_under_load_loses_no_request_of_a_keep_alive_client(server: Server) -> None:
    """Clients keep calling on open connections until told to close; each sent request must be answered."""
    statuses: list[int] = []
    failures: list[str] = []

    def client() -> None:
        with httpx.Client(base_url=server.url, headers=HEADERS) as http:
            while True:
                try:
                    reply = http.post("/predict", json=ROW)
                except httpx.TransportError as error:
                    failures.append(repr(error))
                    return
                statuses.append(reply.status_code)
                if reply.headers.get("connection") == "close":
                    return

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while len(statuses) < 10 * len(threads) and time.monotonic() < deadline:
        time.sleep(0.01)
    code, _ = server.stop()
    for thread in threads:
        thread.join()

    assert failures == []
    assert code == 0
    assert set(statuses) == {200}
    assert len(statuses) > len(threads)


def test_a_client_that_comes_while_the_server_drains_is_answered_and_asked_to_leave(server: Server) -> None:
    """Rules of a node that are late still lead to a pod that has to go; also when nobody was connected."""
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)

    late = httpx.post(f"{server.url}/predict", json=ROW, headers=HEADERS)
    code, log = server.stop()

    assert (late.status_code, late.headers["connection"]) == (200, "close")
    assert code == 0
    assert [line["event"] for line in log] == ["starting", "ready", "draining", "stopped"]


def test_a_person_does_not_wait_for_clients_that_are_not_there(tmp_path: Path, keys_file: Path) -> None:
    folder = tmp_path / "model"
    with Server(folder, make_release(folder), keys_file, DRAIN_SECONDS="60") as server:
        server.process.send_signal(signal.SIGINT)

        assert server.process.wait(timeout=20) == 0


def test_a_refused_start_is_one_clear_line_and_an_exit_code(tmp_path: Path) -> None:
    refused = Server(tmp_path / "model", make_release(tmp_path / "model"), tmp_path / "no-keys")

    output = refused.process.communicate(timeout=20)[0]

    (line,) = [json.loads(text) for text in output.splitlines()]
    assert (line["event"], line["code"]) == ("refused", "ML-SERVE-001")
    assert refused.process.returncode == 5


def test_a_taken_port_is_named(tmp_path: Path, keys_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = Server(tmp_path / "model", make_release(tmp_path / "model"), keys_file, PORT=str(port))
        output = refused.process.communicate(timeout=20)[0]

    line = json.loads(output.splitlines()[-1])
    assert (line["code"], refused.process.returncode) == ("ML-SERVE-010", 6)
    assert f"127.0.0.1:{port}" in line["reason"]
