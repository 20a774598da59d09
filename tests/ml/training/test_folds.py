import numpy as np
import pandas as pd
import pytest

from ml.training import folds


def moments(*months, rows=10):
    return pd.Series([pd.Timestamp(f"{month}-01") + pd.Timedelta(days=day) for month in months for day in range(rows)])


def test_each_of_the_last_months_judges_what_all_months_before_it_taught():
    when = moments("2013-01", "2013-02", "2013-03", "2013-04", "2013-05")
    found = folds.by_time(when)

    judged = [when[fold.judge].dt.strftime("%m").unique().tolist() for fold in found]
    assert judged == [["03"], ["04"], ["05"]]
    assert [len(fold.train) for fold in found] == [20, 30, 40]


@pytest.mark.parametrize("months", [("2013-01", "2013-02"), ("2013-01",)])
def test_no_row_is_judged_by_a_model_that_saw_a_later_one(months):
    when = moments(*months).sample(frac=1, random_state=1).reset_index(drop=True)

    for fold in folds.by_time(when):
        assert when[fold.train].max() < when[fold.judge].min()


def test_without_time_every_row_judges_once_and_classes_keep_their_share():
    labels = np.array(["a"] * 60 + ["b"] * 30)
    found = folds.without_time(labels, seed=1, stratified=True)

    assert sorted(np.concatenate([fold.judge for fold in found]).tolist()) == list(range(90))
    assert [int((labels[fold.judge] == "b").sum()) for fold in found] == [10, 10, 10]
    again = folds.without_time(labels, seed=1, stratified=True)
    assert all((one.judge == two.judge).all() for one, two in zip(found, again, strict=True))
