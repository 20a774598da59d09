"""What jobs push, taken by a real Pushgateway."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ml.batch import __main__ as batch
from ml.data.letters import DeadLetters, letter
from ml.pushed import gauge, push
from tests.ml.batch.runs import write_input
from tests.ml.serving.releases import make_release

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    """Its address; the binary is the one that the monitoring image has."""
    found = shutil.which("pushgateway", path=f"{sys.prefix}/bin{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.fail("pushgateway is in none of .venv/bin and PATH. Fix: make setup")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [found, f"--web.listen-address={address}", "--persistence.file="]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        url = f"http://{address}"
        for _ in range(200):
            if answers(url):
                break
            time.sleep(0.05)
        yield url
        server.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=1).is_success
    except httpx.HTTPError:
        return False


def samples(url: str, of: str) -> dict[str, float]:
    """Sample -> value, of the metrics whose name begins so, as Prometheus would scrape them."""
    lines = [line for line in httpx.get(f"{url}/metrics").text.splitlines() if line.startswith(of)]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_what_is_pushed_is_scraped_and_replaces_what_the_group_had(gateway: str) -> None:
    group = {"job": "batch", "run": "a b"}
    push(gateway, group, gauge("ml_batch_rows", "x", {"dead": 1}, "outcome") + gauge("ml_batch_other", "x", {"": 5}))
    assert push(gateway, group, gauge("ml_batch_rows", "x", {"predicted": 1_795_545_301.022}, "outcome"))

    found = samples(gateway, "ml_batch_")
    assert found == {
        'ml_batch_rows{instance="",job="batch",outcome="predicted",run="a b"}': 1_795_545_301.022,
        'ml_batch_other{instance="",job="batch",run="a b"}': 5.0,
    }


def test_a_run_leaves_its_sum_its_limit_and_its_time_and_one_that_is_refused_no_time(
    gateway: str, tmp_path: Path
) -> None:
    make_release(tmp_path / "release", "binary")
    source = write_input(tmp_path / "in.parquet", 9, {2, 3})
    for name, limit in (("good", "0.5"), ("bad", "0.2")):
        given = ["--run", name, "--release-dir", str(tmp_path / "release"), "--input", str(source), "--shards=1"]
        code = batch.main(
            [*given, f"--output={tmp_path / name}", f"--max-dead-share={limit}", f"--push={gateway}", "--index=0"]
        )
        assert code == (0 if name == "good" else 4)

    for name, limit, times in (("good", 0.5, 1), ("bad", 0.2, 0)):
        found = {key: value for key, value in samples(gateway, "ml_batch_").items() if f'run="{name}"' in key}
        assert sorted(value for key, value in found.items() if "ml_batch_rows" in key) == [2, 7]
        assert [value for key, value in found.items() if "max_dead_share" in key] == [limit]
        assert len([key for key in found if "last_success_timestamp" in key]) == times


def test_the_store_of_dead_letters_is_taken_as_it_is(gateway: str, tmp_path: Path) -> None:
    store = DeadLetters(tmp_path)
    store.add([letter("file", 1, ["bad_number"], {"x": 1}, "2013-07-01T12:00:00Z")])

    assert push(gateway, {"job": "retrain", "problem": "toy"}, store.metrics())

    assert samples(gateway, 'ml_data_dead_letters{cause="bad_number"') == {
        'ml_data_dead_letters{cause="bad_number",instance="",job="retrain",problem="toy"}': 1.0
    }


@pytest.mark.parametrize("text", ["no metric {", "a 1"])
def test_what_the_gateway_refuses_is_said_and_fails_nothing(
    gateway: str, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert not push(gateway, {"job": "batch"}, text)
    assert '"event": "metrics_not_pushed"' in capsys.readouterr().out


def test_a_gateway_that_is_away_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert not push("http://127.0.0.1:1", {"job": "batch"}, "x 1\n")
    assert "metrics_not_pushed" in capsys.readouterr().out
