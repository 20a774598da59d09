from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from ml.data.schema import Feature
from ml.errors import DataError
from ml.training.inputs import encode
from ml.training.leakage import refuse
from ml.training.split import Split, split
from ml.training.tells import tells
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


def _with(parts, **changes):
    """Training rows with columns replaced; the test rows stay."""
    return Split(train=parts.train.assign(**changes), test=parts.test)


def test_a_feature_that_knows_the_answer_in_a_way_that_is_not_monotone_is_refused(parts):
    rng = np.random.default_rng(1)
    wide = split(problem(table(rows=400)), table(rows=400), through="2013-01", seed=0)
    far = np.where(wide.train["hot"] == 1, rng.choice([-60.0, 60.0], len(wide.train)), 0.0)

    with pytest.raises(DataError, match=r"feature heat alone has kappa 1\.000"):
        _check(problem(), _with(wide, heat=far + rng.normal(size=len(far))))


def test_a_category_that_knows_the_answer_is_refused():
    wide = split(problem(table(rows=400)), table(rows=400), through="2013-01", seed=0)

    with pytest.raises(DataError, match="feature kind alone has"):
        _check(problem(), _with(wide, kind=np.where(wide.train["hot"] == 1, "a", "b")))


def _many(kind, target, x, names=("one", "two")):
    features = tuple(Feature(name=name, kind="number", nullable=True) for name in names)
    classes = () if kind == "regression" else tuple(sorted(set(target)))
    made = problem(kind=kind, classes=classes, features=features)
    return tells(made, np.asarray(target, dtype=object), np.asarray(x))


@pytest.fixture
def noise():
    return np.random.default_rng(2).normal(size=(600, 2)).astype(np.float32)


def test_with_three_classes_a_column_that_is_their_code_is_refused_and_noise_is_not(noise):
    target = np.repeat([0, 1, 2], 200)[np.random.default_rng(3).permutation(600)]
    told = np.array([5.0, -3.0, 1.0], dtype=np.float32)[target] + noise[:, 0] * 0.01

    assert [str(tell.of) for tell in _many("multiclass", target, np.column_stack([noise[:, 1], told]))] == [
        "feature two"
    ]


@pytest.mark.parametrize("derive", [lambda y: 3 * y + 1, lambda y: -np.exp(y), lambda y: np.where(y > 0, y, -9 - y)])
def test_in_a_regression_a_column_made_from_the_target_is_refused(noise, derive):
    y = noise[:, 0].astype(float)

    found = _many("regression", y, np.column_stack([derive(y), noise[:, 1]]).astype(np.float32))

    assert [tell.of for tell in found] == ["feature one"]


def test_in_a_regression_a_good_honest_column_is_kept(noise):
    y = noise[:, 0] + 0.3 * noise[:, 1]

    assert _many("regression", y, noise) == []


def test_which_values_are_missing_together_may_tell_though_none_does_alone(noise):
    rng = np.random.default_rng(4)
    one, two = rng.integers(0, 2, 600).astype(bool), rng.integers(0, 2, 600).astype(bool)
    x = noise.copy()
    x[one, 0], x[two, 1] = np.nan, np.nan

    assert [tell.of for tell in _many("binary", (one ^ two).astype(int), x)] == ["which values are missing"]
    assert _many("binary", rng.integers(0, 2, 600), x) == []


def test_the_famous_column_of_iris_is_honest():
    from tests.problems.iris.problem import PROBLEM, load  # noqa: PLC0415

    rows = load(None, None)
    x = rows[[feature.name for feature in PROBLEM.features]].to_numpy(dtype=np.float32)

    assert tells(PROBLEM, rows["species"].to_numpy(dtype=object), x) == []


def test_copies_of_training_rows_under_another_key_are_refused(parts):
    copies = parts.train.iloc[:5].assign(when=parts.test["when"].to_numpy()[:5] + pd.Timedelta(days=1))

    with pytest.raises(DataError, match=r"7\.7% of the test rows repeat a training row's features and answer"):
        _check(problem(), Split(train=parts.train, test=pd.concat([parts.test, copies])))


def test_copies_that_differ_in_the_fifth_digit_are_still_copies(parts):
    copies = parts.train.iloc[:5].assign(when=parts.test["when"].to_numpy()[:5] + pd.Timedelta(days=1))
    copies["heat"] *= 1.000001

    with pytest.raises(DataError, match="of the test rows repeat"):
        _check(problem(), Split(train=parts.train, test=pd.concat([parts.test, copies])))


def test_rows_that_are_often_equal_by_chance_are_honest(parts):
    coarse = Split(train=parts.train.assign(heat=1.0), test=parts.test.assign(heat=1.0))

    _check(problem(), coarse)


def test_a_key_that_differs_in_case_or_by_seconds_is_the_same_row(parts):
    near = parts.train.iloc[:2].assign(when=parts.train["when"].iloc[:2] + pd.Timedelta(seconds=9))

    with pytest.raises(DataError, match="2 test rows are training rows as well"):
        _check(problem(), Split(train=parts.train, test=pd.concat([parts.test, near])))


def test_rows_from_after_the_moment_of_the_data_are_refused(parts):
    with pytest.raises(DataError, match="59 test rows are from after 2013-02-01 00:00"):
        refuse(problem(), parts, encode(problem(), parts.train), as_of=datetime.fromisoformat("2013-02-01"))


def test_a_value_taken_after_the_rows_own_moment_is_refused_and_one_from_before_is_not(parts):
    before = parts.train.assign(seen=parts.train["when"] - pd.Timedelta(hours=1))
    _check(problem(), Split(train=before, test=parts.test))

    with pytest.raises(DataError, match="60 training rows have seen after their own when"):
        _check(problem(), Split(train=before.assign(seen=before["when"] + pd.Timedelta(hours=1)), test=parts.test))
