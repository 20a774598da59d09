"""Real server processes: whatever the idle slot does, no client of the live one sees any of it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml.serving import shadow as mirror
from tests.ml.serving.client import KEY
from tests.ml.serving.other_slot import OtherSlot, http, predicts
from tests.ml.serving.process import ROOT, Server, free_port
from tests.ml.serving.releases import make_release

pytestmark = pytest.mark.integration

ROW = [5.1, 3.5, 1.4, 0.2]
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.0, 2.9, 4.5, 1.5], [6.3, 3.3, 6.0, 2.5]]
BODIES: list[dict[str, Any]] = [{"features": ROW}, {"instances": ROWS}, {"instances": [ROW] * 200}]
HEADERS = {"Authorization": f"Bearer {KEY}"}
SHORT = {"DRAIN_SECONDS": "0.2", "GRACE_SECONDS": "1"}

OTHERS: dict[str, bytes | None] = {
    "hangs": None,
    "answers 500": http(b"{}", "500 Internal Server Error"),
    "answers garbage": b"\xff\x00 garbage\r\n\r\n",
    "is never done": b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{",
    "closes": b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    "differs": predicts("virginica"),
}
SILENT = (OTHERS["hangs"], OTHERS["is never done"])


@pytest.fixture
def control(tmp_path: Path, keys_file: Path) -> Iterator[Server]:
    """The same release without a mirror."""
    with Server(tmp_path / "control", make_release(tmp_path / "control"), keys_file) as server:
        yield server


def release_in(folder: Path, release: str = "iris-0001") -> str:
    make_release(folder, record_change=lambda fields: fields.update(release=release))
    return release


def mirroring(tmp_path: Path, keys_file: Path, url: str, **environment: str) -> Server:
    folder = tmp_path / "live"
    given = {"SHADOW_URL": url, "SHADOW_SHARE": "1.0", **SHORT, **environment}
    return Server(folder, release_in(folder), keys_file, **given)


def at(server: Server, port: int) -> Server:
    """The server was told its port, so that another could know it before."""
    server.port, server.url = port, f"http://127.0.0.1:{port}"
    return server


def answers(server: Server, times: int = 40) -> list[tuple[int, Any]]:
    with httpx.Client(base_url=server.url, headers=HEADERS) as client:
        replies = [client.post("/predict", json=body) for _ in range(times) for body in BODIES]
    return [(reply.status_code, reply.json()) for reply in replies]


def series(server: Server) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def outcomes(server: Server) -> dict[str, float]:
    found = dict.fromkeys(("same", "different", "failed", "dropped"), 0.0)
    for name, value in series(server).items():
        if name.startswith("ml_shadow_requests_total"):
            found[name.split('outcome="')[1].partition('"')[0]] += value
    return found


def wait_for(server: Server, outcome: str, least: int = 1) -> dict[str, float]:
    for _ in range(400):
        found = outcomes(server)
        if found[outcome] >= least:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never {least} {outcome}: {found}")


@pytest.mark.parametrize("answer", OTHERS.values(), ids=OTHERS)
def test_clients_get_the_same_answers_whatever_the_other_slot_does(
    tmp_path: Path, keys_file: Path, control: Server, answer: bytes | None
) -> None:
    with OtherSlot(answer) as other, mirroring(tmp_path, keys_file, other.url) as live:
        given = answers(live)
        asked = outcomes(live)["failed"]
        assert given == answers(control)
        found = wait_for(live, "failed")  # `differs` answers one row, so requests with more have failed
        code, log = live.stop()

    assert found["same"] == 0
    if answer in SILENT:
        assert asked < len(given)  # they were answered before the other slot had been asked about all of them
    assert (code, log[-1]["event"], log[-1]["dropped"]) == (0, "stopped", 0)


def test_clients_get_the_same_answers_when_nobody_is_there(tmp_path: Path, keys_file: Path, control: Server) -> None:
    with OtherSlot(None) as gone:
        url = gone.url

    with mirroring(tmp_path, keys_file, url) as live:
        assert answers(live) == answers(control)
        found = wait_for(live, "failed")

    assert found["same"] + found["different"] == 0


def test_clients_do_not_wait_for_a_slow_answer(tmp_path: Path, keys_file: Path, control: Server) -> None:
    with (
        OtherSlot(predicts("setosa"), pause_s=0.8 * mirror.TIMEOUT_S) as other,
        mirroring(tmp_path, keys_file, other.url) as live,
    ):
        given = answers(live)
        asked = sum(outcomes(live)[outcome] for outcome in ("same", "different", "failed"))
        assert given == answers(control)
        wait_for(live, "same")

    assert asked < len(given)  # they were answered before the other slot had been asked about all of them


def test_a_server_of_another_release_answers_and_does_not_mirror_back(tmp_path: Path, keys_file: Path) -> None:
    port = free_port()
    # Both mirror to each other, as the pods of two slots do whose preview Service is wrong for a moment.
    with mirroring(tmp_path, keys_file, f"http://127.0.0.1:{port}") as live:
        folder = tmp_path / "idle"
        given = {"PORT": str(port), "SHADOW_URL": live.url, "SHADOW_SHARE": "1.0", **SHORT}
        with at(Server(folder, release_in(folder, "iris-0002"), keys_file, **given), port) as idle:
            sent = len(answers(live, times=10))
            found = wait_for(live, "same", sent)
            back = outcomes(idle)
            served = series(live)['ml_requests_total{route="/predict",code="2xx",version="iris-0001"}']

    assert (found["same"], found["different"]) == (sent, 0)
    assert set(back.values()) == {0}
    assert served == sent


def test_a_server_that_is_its_own_other_slot_counts_every_request_once(tmp_path: Path, keys_file: Path) -> None:
    port = free_port()
    with at(mirroring(tmp_path, keys_file, f"http://127.0.0.1:{port}", PORT=str(port)), port) as own:
        sent = len(answers(own, times=5))
        wait_for(own, "failed")
        served = series(own)['ml_requests_total{route="/predict",code="2xx",version="iris-0001"}']

    assert served == sent


def test_memory_stays_bounded_while_the_other_slot_hangs(tmp_path: Path, keys_file: Path) -> None:
    body = b'{"features": [5.1, 3.5, 1.4, 0.2]%b}' % (b" " * (mirror.MAX_BYTES - 64))
    with OtherSlot(None) as other, mirroring(tmp_path, keys_file, other.url) as live:
        with httpx.Client(base_url=live.url, headers=HEADERS) as client:
            statuses = {client.post("/predict", content=body).status_code for _ in range(100)}
            before = series(live)["process_resident_memory_bytes"]
            statuses |= {client.post("/predict", content=body).status_code for _ in range(1000)}  # 32 MB of bodies
        grown = series(live)["process_resident_memory_bytes"] - before
        found = outcomes(live)

    assert statuses == {200}
    assert found["dropped"] > 900
    assert grown < 8 * 1024 * 1024


def test_a_stop_does_not_wait_for_the_other_slot(tmp_path: Path, keys_file: Path) -> None:
    with OtherSlot(None) as other, mirroring(tmp_path, keys_file, other.url) as live:
        answers(live, times=5)
        code, log = live.stop()

    assert code == 0
    assert [line["event"] for line in log if line["event"] != "shadow_failed"] == [
        "starting",
        "ready",
        "draining",
        "stopped",
    ]
    assert KEY not in str(log)


def test_a_stop_does_not_wait_for_a_name_server_that_is_silent(tmp_path: Path, keys_file: Path) -> None:
    patches = tmp_path / "patches"
    patches.mkdir()
    silent = "import socket, time\nsocket.getaddrinfo = lambda *_, **__: time.sleep(60)\n"
    (patches / "sitecustomize.py").write_text(silent, encoding="utf-8")
    with mirroring(tmp_path, keys_file, "http://model-preview", PYTHONPATH=f"{patches}:{ROOT}") as live:
        answers(live, times=5)
        wait_for(live, "failed")
        code, log = live.stop()  # within 20 s, or it raises

    assert (code, log[-1]["event"]) == (0, "stopped")


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({"SHADOW_URL": "https://x", "SHADOW_SHARE": "0.1"}, "SHADOW_URL"),
        ({"SHADOW_URL": "http://x/path"}, "SHADOW_URL"),
        ({"SHADOW_URL": "http://x:99999"}, "SHADOW_URL"),
        ({"SHADOW_URL": "http://x", "SHADOW_SHARE": "0"}, "SHADOW_SHARE"),
        ({"SHADOW_URL": "http://x", "SHADOW_SHARE": "1.5"}, "SHADOW_SHARE"),
        ({"SHADOW_SHARE": "0.5"}, "SHADOW_URL is not set"),
    ],
)
def test_settings_that_are_wrong_refuse_the_start(
    tmp_path: Path, keys_file: Path, environment: dict[str, str], word: str
) -> None:
    refused = Server(tmp_path / "model", make_release(tmp_path / "model"), keys_file, **environment)

    output = refused.process.communicate(timeout=20)[0]

    assert refused.process.returncode == 5
    assert word in output
