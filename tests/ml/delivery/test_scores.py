"""When answers that moved are held against a release: never for what its inputs explain."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.delivery.promise import Promise
from ml.delivery.scores import MOVED, Seen, ask
from ml.drift.live import Live

PROMISE = Promise()
BINS = 20
EVEN = np.full(BINS, 1 / BINS)
LOW = np.repeat([1.9, 0.1], BINS // 2) / BINS  # 45 % of the rows lie elsewhere
REFERENCE: dict[str, Any] = {"edges": list(range(BINS - 1)), "counts": [1000] * BINS, "missing": 0}
CLASSES: dict[str, Any] = {"categories": ["a", "b"], "counts": [12_000, 8_000, 0, 0]}


def seen(*, rows=5000, route=EVEN, weather=EVEN, score=EVEN, output="score", bins=REFERENCE, role="gate"):
    serving = {
        "features": [{"name": "route", "drift": role}, {"name": "weather", "drift": "watch"}],
        "reference": {"route": REFERENCE, "weather": REFERENCE},
        "predictions": {output: bins},
    }

    def counts(shares):
        return {str(index): float(round(rows * share)) for index, share in enumerate(shares)}

    live = Live(features={"route": counts(route), "weather": counts(weather)}, predictions={output: counts(score)})
    return Seen(serving=serving, live=live)


def asked(candidate, champion=None, number=PROMISE.looks):
    return ask(PROMISE, candidate, champion, number, 0.01)


def test_answers_that_moved_while_inputs_did_not_fail_the_release():
    found = asked(seen(score=LOW))

    assert (found.outcome, found.reason, found.output) == ("fail", "live-scores-moved", "score")
    assert found.value == pytest.approx(0.45)


def test_answers_that_lie_where_they_did_pass():
    found = asked(seen())

    assert (found.outcome, found.reason) == ("pass", "ok")
    assert found.value is not None


@pytest.mark.parametrize("moved", ["route", "weather"])
def test_answers_are_not_judged_where_an_input_moved(moved):
    found = asked(seen(score=LOW, **{moved: LOW}))

    assert (found.outcome, found.reason, found.value) == ("pass", "live-scores-inputs-moved", None)
    assert moved in found.said


def test_weather_that_the_champion_had_as_well_is_no_reason_not_to_ask():
    found = asked(seen(score=LOW, weather=LOW), seen(weather=LOW))

    assert found.outcome == "fail"


def test_what_the_same_inputs_did_to_the_champions_answers_is_allowed():
    found = asked(seen(score=LOW, weather=LOW), seen(score=LOW, weather=LOW))

    assert (found.outcome, found.reason) == ("pass", "ok")
    assert found.limit == pytest.approx(MOVED + 0.45)


@pytest.mark.parametrize("champion", [seen(weather=LOW, rows=100), seen(weather=LOW, route=LOW)])
def test_a_champion_with_few_rows_or_strange_clients_explains_nothing(champion):
    assert asked(seen(score=LOW, weather=LOW), champion).reason == "live-scores-inputs-moved"


def test_few_rows_are_not_judged_and_an_early_look_needs_more_than_a_late_one():
    assert asked(seen(score=LOW, rows=600)).reason == "live-scores-too-few-rows"
    assert asked(seen(score=LOW, rows=1000)).outcome == "fail"
    assert asked(seen(score=LOW, rows=1000), number=1).outcome == "pass"


@pytest.mark.parametrize(
    "candidate",
    [
        None,
        seen(score=LOW, output="score", bins={**REFERENCE, "counts": [0] * BINS}),
        seen(score=LOW, role="watch"),
        Seen(serving={**seen().serving, "predictions": {}}, live=seen().live),
        Seen(serving={}, live=seen().live),
        Seen(serving=seen().serving, live=Live(features={"route": {"0": float("nan")}}, predictions={})),
    ],
)
def test_without_bins_or_a_stable_feature_nothing_is_asked(candidate):
    found = asked(candidate)

    assert (found.outcome, found.reason) == ("pass", "live-scores-no-reference")


def test_classes_and_numbers_are_judged_like_scores():
    assert asked(seen(score=LOW, output="value")).outcome == "fail"
    assert asked(seen(score=[0.6, 0.4], output="class", bins=CLASSES)).outcome == "pass"
    assert asked(seen(score=[0.2, 0.8], output="class", bins=CLASSES)).outcome == "fail"


@given(
    share=st.floats(0, 1),
    places=st.tuples(*[st.integers(0, BINS - 1)] * 3),
    usual=st.floats(0, 1),
    number=st.integers(1, PROMISE.looks),
)
def test_no_client_that_repeats_one_row_takes_a_good_release_down(share, places, usual, number):
    def mixed(place, share):
        return (1 - share) * EVEN + share * np.eye(BINS)[place]

    route, weather, score = (mixed(place, share) for place in places)
    champion = seen(route=mixed(places[0], usual), weather=mixed(places[1], usual), score=mixed(places[2], usual))

    for before in (None, champion):
        assert asked(seen(route=route, weather=weather, score=score), before, number).outcome == "pass"
