"""The search in this process; `test_pool.py` has the same with worker processes that are killed."""

import inspect
import json
import sqlite3
from dataclasses import replace

import pytest

from ml.errors import ConfigError, DataError, PipelineError
from ml.problem import by_package
from ml.release import fields
from ml.training import objective, run
from ml.training.failures import MAX_ATTEMPTS, InterruptedTrialError
from ml.training.inputs import prepare
from ml.training.plan import SearchPlan
from ml.training.search import search
from ml.training.study import Study
from ml.training.work import work

pytestmark = pytest.mark.integration  # a real database file, and seconds

PLAN = SearchPlan(trials=6, minutes=5, workers=1)
PROBLEM = by_package("tests.problems.searched")
INPUTS = prepare(PROBLEM, "2013-04", seed=1, progress=lambda _step: None)


@pytest.fixture
def find(tmp_path):
    def call(problem=PROBLEM, plan=PLAN, progress=lambda _step: None, folder="search", seed=1):
        return search(
            problem, INPUTS, plan, seed=seed, folder=tmp_path / folder, made_from={"seed": seed}, progress=progress
        )

    return call


def test_the_section_accounts_for_every_trial_and_names_the_best(find):
    found = find()

    section = found.section
    assert sum(section["trials"][s] for s in ("complete", "pruned", "failed", "not_started")) == 6
    assert section["trials"]["not_started"] == section["trials"]["retried"] == 0
    assert section["best"]["value"] <= section["given"]["value"]
    assert section["given"]["parameters"] == {"strength": 1.0, "solver": "lbfgs"}
    assert section["best"] == {
        key: found.trials[section["best"]["trial"]][key] for key in ("trial", "value", "parameters")
    }
    assert (section["metric"], section["direction"], section["sampler"]) == ("log_loss", "minimize", "halton")
    json.dumps([section, found.trials], allow_nan=False)
    assert fields._flaws("search.json", "search", section) == []


@pytest.mark.parametrize("sampler", ["halton", "random", "tpe"])
def test_the_same_seed_and_budget_find_the_same_in_another_run(find, sampler):
    plan = replace(PLAN, sampler=sampler)

    assert find(plan=plan, folder="one").trials == find(plan=plan, folder="two").trials


def test_another_seed_searches_elsewhere(find):
    assert find(seed=1).trials[1:] != find(seed=2).trials[1:]


def test_the_search_sees_the_training_months_only(find):
    seen = []

    def estimator(seed, **parameters):
        made = PROBLEM.estimator(seed, **parameters)
        fit = made.fit
        made.fit = lambda x, y: (seen.append(len(x)), fit(x, y))[1]
        return made

    estimator.__signature__ = inspect.signature(PROBLEM.estimator)
    find(problem=replace(PROBLEM, estimator=estimator))

    assert set(seen) == {80, 160, 240}  # one, two and three months of 80 rows; four train, the fifth judges
    assert len(INPUTS.train_x) == 320


def test_a_worse_trial_is_pruned_against_the_estimator_as_written_in_every_order(tmp_path):
    rows = objective.material(PROBLEM, INPUTS, seed=1)
    given = {"strength": 1.0, "solver": "lbfgs"}
    pruned = []
    for name, order in (("forward", list), ("backward", lambda found: [found[0], *reversed(found[1:])])):
        study = Study(f"sqlite:///{tmp_path}/{name}.db", name, sampler="halton", seed=1)
        study.lay_out(PROBLEM.space, given, trials=8, minutes=5, material=rows.sha256())
        listed = study.trials
        study.trials = lambda listed=listed, order=order: order(listed())
        work(study, PROBLEM, rows)
        pruned.append({trial.index for trial in listed() if trial.final.state == "pruned"})

    assert pruned[0] == pruned[1] != set()


def test_a_second_call_goes_on_where_the_first_stopped(find):
    first = find(plan=replace(PLAN, trials=3))
    told = []
    second = find(progress=told.append)

    assert second.trials[:3] == first.trials
    assert sum(second.section["trials"].values()) == 6
    assert not any(line.startswith(("search: 1 of", "search: 2 of")) for line in told)


def test_a_restart_begins_anew(find, tmp_path):
    find()
    (database,) = (tmp_path / "search").glob("*.db")
    with sqlite3.connect(database) as opened:
        opened.execute("create table left_over (x int)")

    find(plan=replace(PLAN, resume=False))
    with sqlite3.connect(database) as opened:
        assert opened.execute("select name from sqlite_master where name = 'left_over'").fetchall() == []


def failing(error, when=lambda parameters: parameters.get("strength", 1.0) < 1.0):
    """The problem with an estimator that raises for some points."""
    calls = []

    def estimator(seed, *, strength=1.0, solver="lbfgs"):
        if when({"strength": strength, "solver": solver}):
            calls.append(strength)
            raise error
        return PROBLEM.estimator(seed, strength=strength, solver=solver)

    return replace(PROBLEM, estimator=estimator), calls


def test_a_permanent_failure_is_one_trials_end_with_its_cause(find):
    problem, calls = failing(ValueError("not that weak"))
    found = find(problem=problem)

    broken = [line for line in found.trials if line["state"] == "failed"]
    assert broken
    assert len(calls) == len(broken) == found.section["trials"]["failed"]
    assert {tuple(line["causes"]) for line in broken} == {("ValueError: not that weak",)}
    assert found.section["best"]["parameters"]["strength"] >= 1.0


def test_a_transient_failure_is_tried_again_and_then_given_up(find):
    problem, _ = failing(MemoryError("no room"))
    found = find(problem=problem)

    broken = [line for line in found.trials if line["state"] == "failed"]
    assert broken
    assert {line["attempts"] for line in broken} == {MAX_ATTEMPTS}
    assert found.section["trials"]["retried"] == len(broken) * (MAX_ATTEMPTS - 1)


def test_a_transient_failure_that_passes_leaves_the_same_result(find):
    whole = find(folder="whole")
    tries = iter([True])
    problem, _ = failing(OSError("a blink"), when=lambda p: p["strength"] != 1.0 and next(tries, False))
    blinked = find(problem=problem, folder="blinked")

    assert blinked.section["trials"]["retried"] == 1
    assert blinked.section["best"] == whole.section["best"]


def test_an_estimator_that_cannot_be_trained_as_written_ends_the_search(find):
    problem, _ = failing(ValueError("never"), when=lambda _parameters: True)

    with pytest.raises(PipelineError, match=r"ML-TRAIN-012.*ValueError: never"):
        find(problem=problem)


def test_a_fault_of_the_data_ends_the_search_at_once(find):
    problem, calls = failing(DataError("ML-DATA-001", "a column is gone"))

    with pytest.raises(DataError, match="ML-DATA-001"):
        find(problem=problem)
    assert len(calls) == 1


def test_a_metric_that_is_not_finite_is_a_failure_and_never_the_best(find, monkeypatch):
    monkeypatch.setattr("ml.training.objective._judge", lambda _p, made, *_: 0.6 if made[-1].C >= 1.0 else float("nan"))
    found = find()

    assert {line["state"] for line in found.trials if line["parameters"]["strength"] < 1.0} == {"failed"}
    assert found.section["best"]["value"] == 0.6


def test_no_trial_starts_after_the_minutes(find):
    with pytest.raises(PipelineError, match="ML-TRAIN-015"):
        find(plan=replace(PLAN, minutes=0.0))


def test_a_worker_that_is_stopped_leaves_its_trial_due_and_the_next_one_finishes_it(find, tmp_path):
    rows = objective.material(PROBLEM, INPUTS, seed=1)
    study = Study(f"sqlite:///{tmp_path}/s.db", "s", sampler="halton", seed=1)
    study.lay_out(PROBLEM.space, {"strength": 1.0, "solver": "lbfgs"}, trials=2, minutes=5, material=rows.sha256())
    asked = iter([False, False])  # before the trial, after its first fold

    def check():
        if next(asked, True):
            raise InterruptedTrialError

    with pytest.raises(InterruptedTrialError):
        work(study, PROBLEM, rows, check=check)
    stopped = study.trials()[0]
    work(study, PROBLEM, rows)

    assert [one.state for one in stopped.attempts] == ["failed", "waiting"]
    assert [trial.final.state for trial in study.trials()] == ["complete", study.trials()[1].final.state]
    assert study.trials()[0].attempts[0].cause.startswith("InterruptedTrialError")


def test_a_study_about_other_rows_is_refused(tmp_path):
    study = Study(f"sqlite:///{tmp_path}/s.db", "s", sampler="halton", seed=1)
    given = {"strength": 1.0, "solver": "lbfgs"}
    study.lay_out(PROBLEM.space, given, trials=1, minutes=5, material="a" * 64)

    with pytest.raises(ConfigError, match="ML-TRAIN-014"):
        study.lay_out(PROBLEM.space, given, trials=1, minutes=5, material="b" * 64)
    with pytest.raises(ConfigError, match="ML-TRAIN-014"):
        study.wait_until_laid_out("b" * 64, timeout_s=0)


def test_the_rows_come_back_as_they_were_saved(tmp_path):
    rows = objective.material(PROBLEM, INPUTS, seed=1)
    objective.save(rows, tmp_path / "rows.npz")

    assert objective.read(tmp_path / "rows.npz").sha256() == rows.sha256()


@pytest.fixture
def train(tmp_path):
    def call(plan, problem=PROBLEM):
        return run.train(problem, "2013-04", out=tmp_path / "out", cached=tmp_path / "cache", search=plan)

    return call


def test_training_takes_the_winner_and_says_what_was_searched(train):
    candidate = train(PLAN)

    best = candidate.search["best"]["parameters"]
    assert candidate.parameters["logisticregression__C"] == best["strength"]
    assert len(candidate.trials) == 6


def test_the_number_of_workers_is_no_part_of_a_trainings_name_and_the_budget_is(train):
    first = train(PLAN)

    again = train(replace(PLAN, workers=7))
    more = train(replace(PLAN, trials=7))

    assert (first.reused, again.reused, more.reused) == (False, True, False)
    assert again.search == first.search
    assert more.search["budget"]["trials"] == 7


def test_without_trials_or_without_a_space_the_estimator_is_trained_as_written(train):
    written = train(replace(PLAN, trials=0))
    unsearchable = train(PLAN, problem=replace(PROBLEM, space=()))

    assert written.search is unsearchable.search is None
    assert written.files == unsearchable.files
    assert written.parameters["logisticregression__C"] == 1.0


def test_the_winner_of_a_search_elsewhere_makes_the_same_model(train):
    here = train(PLAN)
    there = train(here.search)

    assert (there.files, there.search) == (here.files, here.search)


def test_a_winner_that_is_no_point_of_the_space_is_refused(train):
    with pytest.raises(ConfigError, match="ML-TRAIN-010"):
        train({"best": {"parameters": {"strength": 1e9, "solver": "lbfgs"}}})
