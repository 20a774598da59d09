import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import DataError, UsageError
from ml.training.split import bounds, split
from tests.ml.training.toy import problem, table


def test_the_newest_month_judges_and_later_ones_are_not_touched():
    parts = split(problem(), table(), through="2013-01", seed=0)

    assert set(parts.train["when"].dt.month) == {1}
    assert set(parts.test["when"].dt.month) == {2}


def test_training_reads_to_the_month_that_judges():
    assert bounds(problem(), "2013-12") == (None, "2014-01")
    assert bounds(problem(time=None), None) == (None, None)


@pytest.mark.parametrize(("through", "time"), [(None, "when"), ("2013-01", None)])
def test_a_month_is_needed_with_time_and_refused_without(through, time):
    with pytest.raises(UsageError, match="ML-TRAIN-002"):
        bounds(problem(time=time), through)


@pytest.mark.parametrize(("through", "side"), [("2012-06", "train"), ("2013-03", "test")])
def test_a_side_without_rows_is_refused(through, side):
    with pytest.raises(DataError, match=f"ML-TRAIN-003: 0 rows to {side} on"):
        split(problem(), table(), through=through, seed=0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_without_time_every_row_is_on_one_side_and_each_class_is_split_alike(seed):
    data = table()

    parts = split(problem(time=None), data, through=None, seed=seed)

    assert len(parts.train) + len(parts.test) == len(data)
    assert not set(parts.train["when"]) & set(parts.test["when"])
    for label in (0.0, 1.0):
        assert (parts.test["hot"] == label).sum() == round((data["hot"] == label).sum() * 0.2)


def test_the_same_seed_splits_alike_and_another_one_does_not():
    first, again, other = (split(problem(time=None), table(), through=None, seed=seed) for seed in (1, 1, 2))

    assert first.test.equals(again.test)
    assert not first.test.equals(other.test)
