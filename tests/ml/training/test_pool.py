"""Worker processes on one study; one is killed in the middle of a trial."""

import os
import signal
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ml.errors import PipelineError
from ml.problem import by_package
from ml.training.inputs import prepare
from ml.training.plan import SearchPlan
from ml.training.search import search

pytestmark = pytest.mark.integration

PROBLEM = by_package("tests.problems.searched")
INPUTS = prepare(PROBLEM, "2013-04", seed=1, progress=lambda _step: None)
PLAN = SearchPlan(trials=6, minutes=5, workers=2)


def find(folder, plan=PLAN, problem=PROBLEM):
    return search(
        problem, INPUTS, plan, seed=1, folder=folder, made_from={"seed": 1}, progress=lambda _step: None
    )  # fmt: skip


class Killer(threading.Thread):
    """Waits until a worker says that it is in a trial, and kills it the hard way."""

    def __init__(self, log: Path, folder: Path) -> None:
        super().__init__()
        self.log, self.folder, self.states = log, folder, None

    def run(self) -> None:
        while not self.log.exists() or not self.log.read_text():
            time.sleep(0.05)
        (database,) = self.folder.glob("*.db")
        with sqlite3.connect(database) as opened:
            self.states = [state for (state,) in opened.execute("select state from trials")]
        os.kill(int(self.log.read_text()), signal.SIGKILL)


def test_a_worker_killed_in_a_trial_costs_nothing_but_time(tmp_path, monkeypatch):
    alone = find(tmp_path / "alone", replace(PLAN, workers=1))
    log, folder = tmp_path / "pid", tmp_path / "killed"
    monkeypatch.setenv("SEARCHED_LOG", str(log))
    killer = Killer(log, folder)
    killer.start()

    found = find(folder)
    killer.join()

    assert "RUNNING" in killer.states, "control: the trial ran when its worker was killed"
    assert int(log.read_text()) != os.getpid()
    assert found.section["trials"]["retried"] == 1, "control: the kill was noticed"
    assert [line["causes"] for line in found.trials if line["attempts"] == 2] == [["worker lost"]]
    for name in ("complete", "pruned", "failed", "not_started"):
        assert found.section["trials"][name] == alone.section["trials"][name]
    assert found.section["best"] == alone.section["best"]
    assert [line["value"] for line in found.trials] == [line["value"] for line in alone.trials]


def test_a_worker_that_refuses_ends_the_search_with_its_words(tmp_path):
    class Other:
        package = "tests.problems.gone"

        def __getattr__(self, name):
            return getattr(PROBLEM, name)

    with pytest.raises(PipelineError, match=r"(?s)ML-TRAIN-016.*ML-CONF-102.*tests.problems.gone"):
        find(tmp_path, problem=Other())
