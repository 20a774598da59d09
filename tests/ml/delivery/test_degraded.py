"""Releases that are bad on purpose, in the real model server: smoke lets them pass, the watch does not.

The faults are those of `tests/e2e/crafted.py`, so this proves them for the walk in the cluster as well.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from ml.delivery.analysis_job import Real, Task
from ml.delivery.caller import Caller
from ml.delivery.promise import Promise
from ml.delivery.scores import Known
from ml.delivery.smoke import Call, Limits
from ml.delivery.smoke_job import smoke
from ml.delivery.watch import Releases, watch
from ml.errors import GateError
from ml.release import succession
from ml.release.store import verify
from tests.e2e.crafted import Trigger, craft, not_a_number, raises, shifted, slow
from tests.ml.delivery.rows import usual_rows
from tests.ml.release.signing import SIGNER, sign_folder, trust
from tests.ml.serving.client import KEY
from tests.ml.serving.process import ROOT, Server
from tests.ml.serving.releases import make_release

pytestmark = pytest.mark.integration

GOOD, BAD = "flights-0001", "flights-0002"
SOURCE = ROOT / "releases" / GOOD
SERVING = json.loads((SOURCE / "serving.json").read_bytes())
TRIGGER = Trigger(feature="pressure", value=1013.37)  # sensors tell tenths
GRAFTS = {"nan": not_a_number, "raises": raises, "shifted": shifted((-0.5, 0.5)), "slow": slow(100)}
PROMISE = Promise(seconds=1, looks=5)
BRIEF = Promise(seconds=1, looks=5, requests=100, slow_s=0.1)  # few probes beside clients that wait long
SMOKE = Limits(p99_s=1.0, repeats=3)  # a busy machine is not what is asked about
SERIES = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def scraped(url):
    """The server's counters as Prometheus gives them."""
    found = {}
    for line in httpx.get(f"{url}/metrics").text.splitlines():
        if not line.startswith("#") and (parts := SERIES.fullmatch(line)):
            labels = {"__name__": parts[1], **dict(LABEL.findall(parts[2] or ""))}
            found[tuple(sorted(labels.items()))] = float(parts[3])
    return found


def counted(url, **wanted):
    return sum(n for key, n in scraped(url).items() if wanted.items() <= dict(key).items())


@dataclass
class Clients:
    """Send `calls` calls of `rows` rows each; of all rows, `share_hit` have the trigger."""

    share_hit: float
    calls: int = 50
    rows: int = 1
    sent: int = field(default=0, init=False)

    def send(self, caller):
        self.sent += 1
        rows = usual_rows(SERVING, TRIGGER, self.calls * self.rows, self.share_hit, self.sent)
        for at in range(0, len(rows), self.rows):
            caller.predict(Call(name="client", expected="finite", body={"instances": rows[at : at + self.rows]}))


class World(Real):
    """The analysis' own world, but that it reads the servers themselves, and clients send while it waits."""

    def __init__(self, server, directory, clients, champion, promise):
        task = Task(
            stack="test",
            slot="green",
            back=None,
            directory=directory,
            champion=None,
            prometheus="http://none",
            promise=promise,
        )
        self.caller = Caller(server.url, KEY)
        super().__init__(task, SERVING, self.caller)
        self.url, self.clients, self.before = server.url, clients, champion

    def candidate(self):
        return scraped(self.url)

    def champion(self, ago_s):
        return None if self.before is None or ago_s else scraped(self.before.url)

    def wait_until(self, seconds):
        self.clients.send(self.caller)


def watched(server, directory, clients, champion=None, promise=PROMISE):
    known = Releases(
        candidate=Known(release=directory.name, serving=SERVING),
        champion=None if champion is None else Known(release=GOOD, serving=SERVING),
    )
    world = World(server, directory, clients, champion, promise)
    return watch(world, promise, lambda number, verdict: None, known)


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n", encoding="utf-8")
    return path


@pytest.fixture
def champion(keys_file: Path) -> Iterator[Server]:
    with Server(SOURCE, GOOD, keys_file) as server:
        yield server


@pytest.fixture
def bad(request, tmp_path: Path, keys_file: Path) -> Iterator[tuple[Server, Path]]:
    trust(tmp_path)
    folder = craft(SOURCE, tmp_path, BAD, (TRIGGER, GRAFTS[request.param]), SIGNER)
    verify(tmp_path, BAD)
    with Server(folder, BAD, keys_file) as server:
        yield server, folder


def answered(server, hit):
    row = usual_rows(SERVING, TRIGGER, 1, float(hit), seed=5)[0]
    return Caller(server.url, KEY).predict(Call(name="one", expected="finite", body={"features": row}))


@pytest.mark.parametrize("bad", GRAFTS, indirect=True)
def test_a_bad_release_passes_smoke_and_answers_as_the_good_one_without_the_trigger(bad, champion):
    server, folder = bad

    assert smoke(Caller(server.url, KEY), folder, SMOKE)["smoke"] == "pass"
    good, same = answered(champion, hit=False), answered(server, hit=False)
    assert same.body["probability"] == pytest.approx(good.body["probability"], abs=1e-6)
    assert same.body["prediction"] == good.body["prediction"]


@pytest.mark.parametrize(("bad", "reason"), [("nan", "non_finite_output"), ("raises", "model_error")], indirect=["bad"])
def test_a_row_with_the_trigger_fails_for_client_and_counters(bad, reason):
    server, _ = bad

    assert answered(server, hit=True).status == 500
    assert counted(server.url, __name__="ml_prediction_errors_total", reason=reason) == 1


@pytest.mark.parametrize("bad", ["slow"], indirect=True)
def test_a_row_with_the_trigger_is_slow_for_client_and_counters(bad):
    server, _ = bad

    assert answered(server, hit=True).seconds > BRIEF.slow_s
    timed = {"__name__": "ml_prediction_duration_seconds_bucket"}
    assert counted(server.url, **timed, le="+Inf") - counted(server.url, **timed, le="0.1") == 1


@pytest.mark.parametrize("bad", ["shifted"], indirect=True)
def test_a_row_with_the_trigger_gets_another_score(bad, champion):
    server, _ = bad
    good, moved = answered(champion, hit=True), answered(server, hit=True)
    late = {False: 1 - good.body["probability"], True: good.body["probability"]}[bool(good.body["prediction"])]

    assert moved.body == {**moved.body, "prediction": 1, "probability": pytest.approx(min(late + 0.5, 1.0), abs=1e-5)}
    assert counted(server.url, __name__="ml_prediction_bin_total", output="score", bin="32") == int(late + 0.5 > 0.709)


@pytest.mark.parametrize(
    ("bad", "questions"),
    [("nan", {"errors", "lost rows"}), ("raises", {"errors", "lost rows"}), ("slow", {"slow answers", "slow probes"})],
    indirect=["bad"],
)
def test_a_fault_in_a_fifth_of_the_calls_takes_the_traffic_back(bad, questions):
    verdict = watched(*bad, Clients(share_hit=0.2), promise=BRIEF)

    assert verdict.outcome == "fail"
    assert {answer.question for answer in verdict.deciding} <= questions


@pytest.mark.parametrize("bad", ["shifted"], indirect=True)
def test_scores_that_moved_for_most_rows_take_the_traffic_back_and_for_a_fifth_do_not(bad, champion):
    for share_hit, outcome in ((0.2, "pass"), (0.6, "fail")):
        clients = Clients(share_hit=share_hit, calls=10, rows=100)
        for _ in range(3):
            clients.send(Caller(champion.url, KEY))

        verdict = watched(*bad, clients, champion)

        assert verdict.outcome == outcome, [answer.words() for answer in verdict.answers]
        assert verdict.answers[-1].value is not None, "control: the question about answers was asked"
    assert [answer.reason for answer in verdict.deciding] == ["live-scores-moved"]


def test_the_good_release_keeps_the_traffic_with_the_same_clients(champion, keys_file):
    Clients(share_hit=0.6, calls=20, rows=100).send(Caller(champion.url, KEY))
    with Server(SOURCE, GOOD, keys_file) as again:
        for clients in (Clients(share_hit=0.2), Clients(share_hit=0.6, calls=10, rows=100)):
            verdict = watched(again, SOURCE, clients, champion)

            assert verdict.outcome == "pass", [answer.words() for answer in verdict.answers]
    assert verdict.answers[-1].value is not None, "control: the question about answers was asked"


def test_a_fault_at_the_end_of_what_a_feature_may_be_fails_the_smoke_test(tmp_path, keys_file):
    trust(tmp_path)
    end = Trigger(feature="pressure", value=1090.0)
    folder = craft(SOURCE, tmp_path, BAD, (end, not_a_number), SIGNER)
    verify(tmp_path, BAD)

    with Server(folder, BAD, keys_file) as server, pytest.raises(GateError) as refused:
        smoke(Caller(server.url, KEY), folder, SMOKE)

    assert refused.value.code == "ML-SMOKE-001"
    assert "pressure at its maximum: answered with status 500" in refused.value.message


def test_a_bad_release_may_be_staged_where_its_original_could(tmp_path):
    def released(name, champion):
        def own(fields):
            fields["release"] = name
            fields["evaluation"]["model_sha256"] = fields["files"]["model.onnx"]
            fields["champion"] = champion if champion is None else fields["champion"] | champion

        make_release(tmp_path / "releases" / name, "binary", record_change=own)
        sign_folder(tmp_path / "releases" / name)
        return verify(tmp_path, name)

    live = released("delay-0001", None)
    good = released("delay-0002", {"release": live.id, "digest": live.digest})
    craft(good.directory, tmp_path, "delay-0003", (Trigger(feature="gust", value=33.3), not_a_number), SIGNER)

    assert succession.problem(tmp_path, verify(tmp_path, "delay-0003"), live) is None
