import pytest

from ml.gate.rules.answers import same_answers
from ml.gate.rules.runtime import quick_enough

LIMITS = {"max_p99_ms_1_row": 50.0, "max_model_bytes": 1000, "max_peak_rss_mib": 512.0}
POLICY = {"prediction_diff": {"max_flip_rate": 0.25}, "runtime": LIMITS}
RUNTIME = {"bytes": 1000, "p50_ms_1_row": 0.1, "p99_ms_1_row": 50.0, "us_per_row_32": 2.0, "peak_rss_mib": 512.0}


def flips(diff):
    return [(c.outcome, str(c.reason)) for c in same_answers({"prediction_diff": diff}, POLICY)]


@pytest.mark.parametrize(
    ("rate", "expected"), [(0, "pass"), (0.25, "pass"), (0.2501, "inconclusive"), (1, "inconclusive")]
)
def test_many_other_answers_are_inconclusive_and_never_a_failure(rate, expected):
    assert flips({"rows": 2000, "flip_rate": rate})[0][0] == expected


@pytest.mark.parametrize(
    "diff",
    [
        {"rows": 2000, "flip_rate": "NaN"},
        {"rows": 2000, "flip_rate": -0.1},
        {"rows": 2000, "flip_rate": 1.1},
        {"rows": 0, "flip_rate": 0.0},
        {"flip_rate": 0.0},
        {},
        "none",
    ],
)
def test_a_comparison_of_answers_that_cannot_be_fails(diff):
    assert flips(diff) == [("fail", "answers-unusable")]


def test_answers_that_are_asked_for_and_missing_fail():
    assert flips(None) == [("fail", "answers-not-compared")]


def runtime(**changes):
    found = quick_enough({"runtime": {**RUNTIME, **changes}}, POLICY)
    return {c.name: (c.outcome, str(c.reason)) for c in found}


def test_a_model_at_its_limits_passes():
    assert set(runtime().values()) == {("pass", "ok")}


@pytest.mark.parametrize("name", ["bytes", "p99_ms_1_row", "peak_rss_mib"])
def test_each_limit_fails_just_above_it(name):
    assert runtime(**{name: RUNTIME[name] * 1.001})[name] == ("fail", "beyond-runtime-limit")


@pytest.mark.parametrize("value", [-1, "NaN", float("inf"), True, "fast"])
def test_a_figure_that_cannot_be_fails(value):
    assert runtime(p99_ms_1_row=value)["p99_ms_1_row"] == ("fail", "runtime-unusable")


@pytest.mark.parametrize("evaluation", [{}, {"runtime": None}, {"runtime": {}}])
def test_figures_that_are_asked_for_and_missing_fail(evaluation):
    assert {str(c.reason) for c in quick_enough(evaluation, POLICY)} == {"runtime-missing"}
