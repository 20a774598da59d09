import numpy as np
import pandas as pd
import pytest

from ml.errors import DataError
from ml.training.inputs import encode
from ml.training.leakage import refuse
from ml.training.split import Split, split
from tests.ml.training.toy import problem, table


def _check(toy, parts):
    refuse(toy, parts, encode(toy, parts.train))


@pytest.fixture
def parts():
    return split(problem(), table(), through="2013-01", seed=0)


def test_an_honest_split_passes(parts):
    _check(problem(), parts)


@pytest.mark.parametrize("changes", [{"known_afterwards": ("heat",)}, {"target": "heat"}, {"time": "heat"}])
def test_a_feature_from_after_the_event_is_refused_by_name(parts, changes):
    with pytest.raises(DataError, match=r"ML-TRAIN-004.*feature heat is not known before the event"):
        _check(problem(**changes), parts)


def test_a_row_on_both_sides_is_refused(parts):
    shared = Split(train=parts.train, test=pd.concat([parts.test, parts.train.iloc[:3]]))

    with pytest.raises(DataError, match="3 test rows are training rows as well"):
        _check(problem(), shared)


def test_without_a_key_equal_rows_on_both_sides_are_refused(parts):
    twin = Split(train=parts.train, test=pd.concat([parts.test, parts.train.iloc[:1]]))

    with pytest.raises(DataError, match="1 test rows are training rows as well"):
        _check(problem(key=(), time=None), twin)


def test_a_test_row_from_before_the_end_of_training_is_refused(parts):
    early = parts.test.assign(when=parts.test["when"] - pd.Timedelta(days=31, minutes=30))

    with pytest.raises(DataError, match="test rows start at"):
        _check(problem(), Split(train=parts.train, test=early))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_that_alone_knows_the_answer_is_refused(parts, sign):
    train = parts.train.assign(heat=parts.train["hot"] * sign)

    with pytest.raises(DataError, match="feature heat alone has ROC AUC"):
        _check(problem(), Split(train=train, test=parts.test))


def test_a_feature_whose_absence_knows_the_answer_is_refused(parts):
    train = parts.train.assign(heat=np.where(parts.train["hot"] == 1, np.nan, 1.0))

    with pytest.raises(DataError, match=r"feature heat alone has ROC AUC 0\.000"):
        _check(problem(), Split(train=train, test=parts.test))


def test_all_leaks_are_named_at_once(parts):
    train = parts.train.assign(heat=parts.train["hot"])

    with pytest.raises(DataError) as caught:
        _check(problem(known_afterwards=("kind",)), Split(train=train, test=train))

    assert all(words in str(caught.value) for words in ("feature kind", "feature heat", "60 test rows", "start at"))
