"""What the rows are made of, without a cluster: the same clients against a server of this machine."""

import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import Seen
from tests.e2e.machine import Machine
from tests.e2e.matrix.flood import CELLS, bodies, flood
from tests.e2e.matrix.overload import MOST_AT_ONCE, Plan, load
from tests.e2e.matrix.waits import until
from tests.e2e.matrix.watching import Watching
from tests.ml.serving.client import KEY
from tests.ml.serving.process import ROOT, Server

RELEASE = ROOT / "releases" / "flights-0001"
SERVING = json.loads((RELEASE / "serving.json").read_bytes())
GOLDEN = SERVING["golden"]["rows"]
PLACES = 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    keys = tmp_path / "keys"
    keys.write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n", encoding="utf-8")
    with Server(RELEASE, RELEASE.name, keys, MAX_IN_FLIGHT=str(PLACES), CONNECTION_AGE_SECONDS="1") as started:
        yield started


@pytest.mark.integration
def test_every_number_that_is_none_is_refused_with_its_code(server: Server) -> None:
    column = [feature["name"] for feature in SERVING["features"]].index("pressure")
    wanted = bodies(GOLDEN[0], column)

    answers = flood(server.port, KEY, wanted, rounds=5, at_once=2)

    assert set(wanted) == {*CELLS, "a column of NaN"}
    assert answers == {(name, 422, "invalid_features"): 10 for name in wanted}


@pytest.mark.integration
def test_a_flood_of_good_numbers_is_no_flood(server: Server) -> None:
    """The control of the one above: the same bodies with a number are answered."""
    good = json.dumps({"features": GOLDEN[0]}).encode()

    assert flood(server.port, KEY, {"good": good}, rounds=5, at_once=2) == {("good", 200, ""): 10}


@pytest.mark.integration
def test_an_open_loop_is_shed_where_a_closed_one_is_served(server: Server) -> None:
    rows = list(itertools.islice(itertools.cycle(GOLDEN), 500))

    served = load(server.port, KEY, rows, Plan(seconds=1, at_once=PLACES))
    shed = load(server.port, KEY, rows, Plan(seconds=1, at_once=200, hertz=2000))

    assert served.good == served.offered
    assert (served.shed, served.lost) == (0, 0)
    assert shed.offered == 2000
    assert shed.good + shed.shed + shed.lost + shed.unsent == shed.offered
    assert shed.retry_after == shed.shed > 0
    assert shed.lost == 0


def test_an_answer_of_kubectl_is_read_although_it_complains(tmp_path: Path) -> None:
    """With an aggregated API down it says so before each answer, on standard error, which the log keeps as well."""
    stub = tmp_path / "kubectl"
    complaint = 'E1130 12:00:00.000000 1 memcache.go:287] "Unhandled Error" err="couldn\'t get resource list"'
    stub.write_text(
        f"#!/bin/sh\ncat >&2 <<'E'\n{complaint}\nE\nprintf '{{\\n  \"a\": {{\\n  }}\\n}}\\n'\necho done >&2\n"
    )
    stub.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    machine = Machine(clone=tmp_path, home=tmp_path, log=tmp_path / "log", environment={"PATH": path})

    assert machine.kubectl("get", "hpa") == {"a": {}}
    assert complaint in (tmp_path / "log").read_text(), "control: it did complain"


@pytest.mark.parametrize("change", [{"seconds": 31}, {"at_once": MOST_AT_ONCE + 1}, {"hertz": 10_001}])
def test_no_load_is_without_bounds(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at most"):
        Plan(**{"seconds": 1, "at_once": 1, **change})


def test_waiting_in_vain_says_for_what_and_what_was_there_instead() -> None:
    with pytest.raises(AssertionError, match=r"the pod is ready: not within 0 s; last seen: 'Pending'"):
        until("the pod is ready", lambda: "Pending", lambda found: found == "Running", 0)
    assert until("the pod is ready", lambda: "Running", lambda found: found == "Running", 0) == "Running"


def test_of_a_hundred_answers_the_95th_counts() -> None:
    took = {"1": 90, "50": 5, "700": 5}
    seen = Seen(calls={}, failures=[], versions={}, longest_s=0.7, took_ms=took)
    slower = Seen(calls={}, failures=[], versions={}, longest_s=0.7, took_ms={**took, "50": 4, "700": 6})
    nobody = Seen(calls={}, failures=[], versions={}, longest_s=0)

    assert (seen.p95_s, slower.p95_s) == (0.05, 0.7)
    assert math.isnan(nobody.p95_s)


class Counting(Watching):
    EVERY_S = 0.001

    def __init__(self, most: float = math.inf) -> None:
        super().__init__()
        self.looks, self._most = 0, most

    def look(self) -> None:
        self.looks += 1
        if self.looks > self._most:
            raise ValueError("seen enough")


def test_a_watcher_looks_until_its_block_ends() -> None:
    with Counting() as watcher:
        until("three looks", lambda: watcher.looks, lambda looks: looks >= 3, 10, every_s=0.001)
    after = watcher.looks

    assert not watcher._thread.is_alive()
    assert watcher.looks == after >= 3


def test_what_a_watcher_meets_is_raised_at_the_end_of_its_block() -> None:
    with pytest.raises(ValueError, match="seen enough"), Counting(most=2) as watcher:
        until("three looks", lambda: watcher.looks, lambda looks: looks >= 3, 10, every_s=0.001)
