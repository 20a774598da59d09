import math
import warnings

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from ml.errors import ConfigError
from ml.training.space import Choice, Real, Whole, described, given, point, refuse_outside

SPACE = (
    Real(name="rate", low=0.01, high=1.0, log=True),
    Whole(name="trees", low=3, high=9),
    Choice(name="kind", values=("a", "b", True)),
)


def estimator(seed, *, rate=0.1, trees=5, kind="a"):
    return seed, rate, trees, kind


@forall(st.sampled_from(["halton", "random"]), st.integers(min_value=0, max_value=2**32 - 1), st.integers(0, 300))
def test_every_point_lies_in_the_space_and_depends_on_seed_and_index_alone(sampler, seed, index):
    drawn = point(SPACE, sampler, seed, index)

    refuse_outside(SPACE, drawn)
    assert drawn == point(SPACE, sampler, seed, index)


@pytest.mark.parametrize("sampler", ["halton", "random"])
def test_other_seeds_and_indexes_are_other_points(sampler):
    drawn = {tuple(point(SPACE, sampler, seed, index).values()) for seed in (1, 2) for index in range(40)}

    assert len(drawn) > 70


def test_halton_covers_each_range_evenly():
    rates = [math.log10(point(SPACE, "halton", 7, index)["rate"]) for index in range(64)]
    counts = [sum(low <= rate < low + 0.5 for rate in rates) for low in (-2, -1.5, -1, -0.5)]

    assert all(13 <= count <= 19 for count in counts), counts


def test_drawing_a_point_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        point(SPACE, "halton", 1, 5)


@forall(st.floats(min_value=0, max_value=1, exclude_max=True))
def test_a_dimension_holds_whatever_it_draws(share):
    for one in (*SPACE, Whole(name="n", low=1, high=1000, log=True), Real(name="r", low=-3.0, high=3.00001)):
        assert one.holds(one.at(share))


def test_a_whole_number_reaches_both_ends():
    assert {Whole(name="n", low=3, high=5).at(share / 100) for share in range(100)} == {3, 4, 5}


def test_the_estimator_as_written_is_a_point():
    assert given(estimator, SPACE) == {"rate": 0.1, "trees": 5, "kind": "a"}


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ((Real(name="gone", low=0, high=1),), "gone: the estimator takes no such argument"),
        ((Real(name="rate", low=0.5, high=1),), r"rate=0.1: .* must lie in the space"),
        ((Whole(name="trees", low=5, high=5),), "trees: low 5 must be below high 5"),
        ((Real(name="rate", low=0, high=1, log=True),), "rate: low 0 must be above 0"),
        ((Real(name="rate", low=0, high=math.inf),), "both finite"),
        ((Choice(name="kind", values=()),), "kind: needs at least one value"),
        ((SPACE[0], SPACE[0]), "rate: is there twice"),
        ((Whole(name="seed", low=1, high=2),), "seed: the estimator's argument needs a default"),
    ],
)
def test_a_space_that_does_not_fit_the_estimator_is_refused(space, words):
    with pytest.raises(ConfigError, match=f"(?s)ML-TRAIN-010.*{words}"):
        given(estimator, space)


def test_every_problem_of_a_space_is_in_one_error():
    with pytest.raises(ConfigError) as caught:
        given(estimator, (Real(name="gone", low=0, high=1), Real(name="rate", low=0.5, high=1)))
    assert "gone" in str(caught.value)
    assert "rate=0.1" in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0.1, "trees": 5},
        {"rate": 0.1, "trees": 5, "kind": "a", "more": 1},
        {"rate": 2.0, "trees": 5, "kind": "a"},
        {"rate": math.nan, "trees": 5, "kind": "a"},
        {"rate": 0.1, "trees": 5.0, "kind": "a"},
        {"rate": 0.1, "trees": True, "kind": "a"},
        {"rate": 0.1, "trees": 5, "kind": 1},
        {"rate": "0.1", "trees": 5, "kind": "a"},
    ],
)
def test_parameters_of_elsewhere_must_be_a_point_of_the_space(wrong):
    with pytest.raises(ConfigError, match="ML-TRAIN-010"):
        refuse_outside(SPACE, wrong)


def test_the_description_tells_two_spaces_apart():
    assert described(SPACE) != described((*SPACE[:2], Choice(name="kind", values=("a",))))
