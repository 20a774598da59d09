import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.gate.rules.slices import sliced

POLICY = {
    "slices": {"min_rows": 100, "alpha": 0.05, "margin": 0.05, "relative_margin": 0.1, "floors": {"accuracy": 0.5}}
}


def entry(value, rows=400, estimate=0.7, half=0.045):
    return {"value": value, "rows": rows, "estimate": estimate, "low": estimate - half, "high": estimate + half}


def moved(value, rows=400, difference=0.0, spread=0.02):
    return {"value": value, "rows": rows, "difference": difference, "standard_error": spread}


EVALUATION = {
    "confidence": 0.95,
    "slices": {"metric": "accuracy", "columns": {"origin": [entry("EWR"), entry("JFK"), entry("HPN", rows=20)]}},
}
CHAMPION = {
    "metrics": {"accuracy": 0.7},
    "slices": {"metric": "accuracy", "columns": {"origin": [moved("EWR"), moved("JFK"), moved("HPN", rows=20)]}},
}


def outcome(evaluation=EVALUATION, champion=None, policy=POLICY):
    return [(c.rule, c.name, c.outcome, str(c.reason)) for c in sliced(evaluation, champion, policy)]


def edited(part, change):
    fresh = copy.deepcopy(part)
    change(fresh["slices"]["columns"]["origin"])
    return fresh


def test_a_column_of_good_slices_shows_the_one_nearest_to_the_floor():
    evaluation = edited(EVALUATION, lambda origin: origin.__setitem__(1, entry("JFK", estimate=0.6)))

    assert outcome(evaluation) == [("slice", "origin=JFK", "pass", "ok")]


@pytest.mark.parametrize(
    ("estimate", "expected"), [(0.49, "pass"), (0.46, "pass"), (0.44, "fail"), (0.2, "fail"), (0.5, "pass")]
)
def test_a_slice_fails_only_when_chance_does_not_explain_that_it_is_below_the_floor(estimate, expected):
    """Half an interval of 0.045 is a spread of 0.023, and of two slices one fails from z = 1.96 on: below 0.455."""
    evaluation = edited(EVALUATION, lambda origin: origin.__setitem__(0, entry("EWR", estimate=estimate)))

    assert outcome(evaluation)[0][2] == expected


def test_more_slices_ask_for_more_evidence():
    worst = entry("EWR", estimate=0.453)
    few = edited(EVALUATION, lambda origin: origin.__setitem__(0, worst))
    many = edited(few, lambda origin: origin.extend(entry(f"airport {i}") for i in range(40)))

    assert outcome(few)[0][2:] == ("fail", "slice-surely-worse")
    assert outcome(many)[0][2:] == ("pass", "ok")


def test_a_small_slice_is_never_judged_and_a_column_of_small_ones_says_so():
    terrible = entry("HPN", rows=99, estimate=0.0, half=0.0)
    evaluation = edited(EVALUATION, lambda origin: origin.__setitem__(2, terrible))
    small = edited(EVALUATION, lambda origin: origin.__delitem__(slice(0, 2)))

    assert [line[2] for line in outcome(evaluation)] == ["pass"]
    assert outcome(small) == [("slice", "origin", "pass", "slices-too-small")]


def test_a_metric_that_means_nothing_on_a_large_slice_is_inconclusive():
    evaluation = edited(EVALUATION, lambda origin: origin[0].update(estimate=None, low=None, high=None))

    assert outcome(evaluation) == [("slice", "origin=EWR", "inconclusive", "slice-unmeasured")]


def test_a_metric_without_a_floor_is_reported_only():
    assert outcome(policy={"slices": {**POLICY["slices"], "floors": {}}}) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda origin: origin[0].update(low=0.8),
        lambda origin: origin[0].update(high="NaN"),
        lambda origin: origin[0].update(estimate=1.7, high=1.8),
        lambda origin: origin[0].update(estimate=float("nan")),
        lambda origin: origin[0].update(rows=-400),
        lambda origin: origin[0].update(rows=True),
        lambda origin: origin[0].pop("value"),
        lambda origin: origin.append("EWR"),
    ],
)
def test_numbers_that_cannot_be_fail(change):
    assert ("fail", "slices-unusable") in [line[2:] for line in outcome(edited(EVALUATION, change))]


@pytest.mark.parametrize("section", [{}, {"slices": None}, {"slices": {"metric": "accuracy", "columns": []}}])
def test_slices_that_are_asked_for_and_missing_fail(section):
    assert outcome({"confidence": 0.95, **section}) == [("slice", "slices", "fail", "slices-missing")]


def test_a_problem_without_slices_has_no_checks():
    assert outcome({"slices": {"metric": "accuracy", "columns": {}}}, CHAMPION) == []


@pytest.mark.parametrize(
    ("difference", "expected"), [(0.1, "pass"), (-0.05, "pass"), (-0.08, "pass"), (-0.1, "fail"), (-0.5, "fail")]
)
def test_a_slice_may_not_be_surely_worse_than_the_champions_by_more_than_the_margin(difference, expected):
    champion = edited(CHAMPION, lambda origin: origin[0].update(difference=difference))

    assert outcome(EVALUATION, champion)[-1][:3:2] == ("slice-champion", expected)


def test_the_margin_of_a_loss_is_relative_to_the_champions_value():
    evaluation, champion = copy.deepcopy(EVALUATION), copy.deepcopy(CHAMPION)
    evaluation["slices"]["metric"] = champion["slices"]["metric"] = "mae"
    champion["metrics"] = {"mae": 40.0}

    def at(difference):
        changed = edited(champion, lambda origin: origin[0].update(difference=difference, standard_error=1.0))
        return outcome(evaluation, changed)

    assert at(5.0) == [("slice-champion", "origin=EWR", "pass", "ok")]
    assert at(7.0) == [("slice-champion", "origin=EWR", "fail", "slice-surely-worse")]
    assert at(-7.0)[0][2] == "pass"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda champion: champion.pop("slices"), "slices-missing"),
        (lambda champion: champion["slices"].update(metric="f1"), "slices-unusable"),
        (lambda champion: champion["slices"]["columns"].pop("origin"), "slices-unusable"),
        (lambda champion: champion["slices"]["columns"]["origin"].pop(), "slices-unusable"),
        (lambda champion: champion["slices"]["columns"]["origin"][0].update(rows=401), "slices-unusable"),
        (lambda champion: champion["slices"]["columns"]["origin"][0].update(standard_error=-1), "slices-unusable"),
        (lambda champion: champion["slices"]["columns"]["origin"][0].update(difference="NaN"), "slices-unusable"),
        (lambda champion: champion.update(metrics={}), "slices-unusable"),
    ],
)
def test_a_comparison_of_other_slices_fails(change, reason):
    champion = copy.deepcopy(CHAMPION)
    change(champion)

    assert ("slice-champion", "fail", reason) in [(line[0], *line[2:]) for line in outcome(EVALUATION, champion)]


def test_identical_models_pass_although_nothing_varies():
    champion = edited(CHAMPION, lambda origin: [item.update(standard_error=0.0) for item in origin])

    assert [line[2] for line in outcome(EVALUATION, champion)] == ["pass", "pass"]


@given(st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.integers(1, 10))
def test_a_better_slice_is_never_judged_worse(one, other, slices):
    """The gate is monotone in each slice's estimate."""

    def verdict(estimate):
        origin = [entry("a", estimate=estimate), *(entry(str(i)) for i in range(slices))]
        found = outcome({"confidence": 0.95, "slices": {"metric": "accuracy", "columns": {"origin": origin}}})
        return [line[2] for line in found].count("fail")

    assert verdict(max(one, other)) <= verdict(min(one, other))
