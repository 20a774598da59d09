import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import ConfigError, DataError, TransientError
from ml.training import ledger
from ml.training.failures import (
    DUPLICATE,
    LOST,
    MAX_ATTEMPTS,
    InterruptedTrialError,
    concerns_one_trial,
    kind_of,
    words,
)
from ml.training.ledger import Attempt

numbers = itertools.count()


def attempt(index=0, state="complete", *, number=None, attempt=1, **changes):
    return Attempt(
        number=next(numbers) if number is None else number,
        index=index, attempt=attempt, state=state, parameters={"p": index}, **changes,
    )  # fmt: skip


def only(*attempts):
    (found,) = ledger.trials(attempts)
    return found


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "transient"),
        (OSError(28, "No space left on device"), "transient"),
        (ConnectionResetError(), "transient"),
        (TransientError("ML-TRAIN-013", "no answer"), "transient"),
        (InterruptedTrialError(), "transient"),
        (ValueError("cannot be that deep"), "permanent"),
        (KeyError("x"), "permanent"),
        (FloatingPointError(), "permanent"),
    ],
)
def test_a_failure_is_transient_or_permanent(error, kind):
    assert kind_of(error) == kind


def test_a_fault_of_the_data_or_the_problem_ends_the_search_and_not_one_trial():
    assert not concerns_one_trial(DataError("ML-TRAIN-008", "a label"))
    assert not concerns_one_trial(ConfigError("ML-TRAIN-010", "a space"))
    assert concerns_one_trial(ValueError("these parameters"))
    assert concerns_one_trial(TransientError("ML-TRAIN-013", "later"))


def test_a_cause_is_one_short_line():
    assert words(ValueError("first\nsecond")) == "ValueError: first"
    assert len(words(ValueError("x" * 5000))) < 250


def test_a_trial_whose_worker_died_is_due_again_until_its_attempts_are_spent():
    lost = [attempt(0, "failed", attempt=n) for n in range(1, MAX_ATTEMPTS + 1)]

    assert only(*lost[:1]).is_due
    assert only(*lost[:-1]).is_due
    assert not only(*lost).is_due
    assert only(*lost).is_over


@pytest.mark.parametrize("state", ["waiting", "running", "complete", "pruned"])
def test_nothing_is_due_while_another_attempt_waits_runs_or_has_ended_well(state):
    assert not only(attempt(0, "failed"), attempt(0, state, attempt=2)).is_due


def test_a_permanent_failure_is_never_tried_again():
    broken = only(attempt(0, "failed", cause="ValueError: no", transient=False))

    assert (broken.is_due, broken.is_over) == (False, True)


def test_the_first_attempt_that_ended_well_counts():
    trial = only(attempt(0, "failed"), attempt(0, "complete", attempt=2, value=0.5), attempt(0, "failed", attempt=3))

    assert trial.final.value == 0.5


def test_the_best_is_the_lowest_and_of_equals_the_earliest_trial_whoever_finished_first():
    found = ledger.trials([attempt(3, value=0.2), attempt(1, value=0.2), attempt(2, value=0.4), attempt(0, "failed")])

    assert ledger.best(found).index == 1


def test_a_pruned_trial_is_never_the_best():
    assert ledger.best(ledger.trials([attempt(0, "pruned", value=0.1)])) is None


def test_two_workers_that_noticed_one_death_leave_one_attempt():
    dead, ours, theirs = attempt(4, "failed"), attempt(4, "running", attempt=2), attempt(4, "running", attempt=2)

    assert not ledger.is_duplicate(ours, [dead, ours, theirs])
    assert ledger.is_duplicate(theirs, [dead, ours, theirs])
    culled = attempt(4, "failed", attempt=2, cause=DUPLICATE, transient=False)
    assert len(only(dead, ours, culled).attempts) == 2


STATES = st.sampled_from(["waiting", "running", "complete", "pruned", "failed"])


@given(st.lists(st.tuples(st.integers(0, 5), STATES, st.booleans(), st.integers(1, 4)), max_size=30))
def test_every_trial_is_counted_exactly_once_whatever_happened(rows):
    attempts = [attempt(i, s, transient=t, attempt=a, value=0.1) for i, s, t, a in rows]
    found = ledger.trials(attempts)
    counts = ledger.counts(found)

    assert sum(counts[s] for s in ("complete", "pruned", "failed", "not_started")) == len({i for i, *_ in rows})
    assert counts["retried"] == len(attempts) - len(found)
    assert [one["trial"] for one in ledger.compact(found)] == sorted({i for i, *_ in rows})


def test_the_compact_ledger_names_the_cause_of_every_failed_attempt():
    (line,) = ledger.compact(ledger.trials([attempt(2, "failed"), attempt(2, value=0.3, attempt=2)]))

    assert (line["attempts"], line["causes"], line["state"], line["value"]) == (2, [LOST], "complete", 0.3)
