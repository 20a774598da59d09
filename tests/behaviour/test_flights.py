"""How the reference model behaves where a person knows the answer: direction, invariance, minimum function."""

import json

import numpy as np
import pytest

from ml.data.schema import encode_rows
from ml.evaluation.score import score
from ml.flights.features import CARRIERS, DESTINATIONS, FEATURES, ORIGINS
from tests.model.candidates import candidate

pytestmark = pytest.mark.integration

NAMES = [feature.name for feature in FEATURES]
FINE = {"temp": 65, "dewp": 45, "humid": 48, "wind_speed": 6, "precip": 0, "pressure": 1020, "visib": 10}
STORM = {"temp": 72, "dewp": 71, "humid": 97, "wind_speed": 25, "precip": 0.4, "pressure": 1002, "visib": 1}
# A case must be physically possible: at 65 degF a dew point of 45 makes 48 % humidity, one of 63 makes 93 %.
RAIN = {**FINE, "dewp": 63, "humid": 93, "precip": 0.3, "visib": 3}
FLIGHT = {
    "carrier": "B6", "origin": "JFK", "dest": "ORD", "weekday": 4, "sched_dep": 1020, "sched_arr": 1140,
    "distance": 740, "plane_year": 2005, "seats": 150, **FINE,
}  # fmt: skip


def chances(flights):
    """Probability of being late, for each flight."""
    serving = json.loads(candidate().serving_path.read_text())
    return score(candidate().model_path, serving, encode_rows(FEATURES, flights))[1][:, 1]


def _everywhere(**changes):
    """One flight from each origin with each carrier."""
    return [{**FLIGHT, "origin": origin, "carrier": carrier, **changes} for origin in ORIGINS for carrier in CARRIERS]


def _real(rows=2000):
    """Real test rows, as encoded."""
    return candidate().test_features[:: max(1, len(candidate().test_features) // rows)]


def _rescored(x):
    serving = json.loads(candidate().serving_path.read_text())
    return score(candidate().model_path, serving, x)[1][:, 1]


# Direction: a change that makes delays likelier, and how much at least, on average.
@pytest.mark.parametrize(
    ("better", "worse", "least"),
    [
        (FINE, STORM, 0.15),
        ({"sched_dep": 390, "sched_arr": 510}, {"sched_dep": 1140, "sched_arr": 1260}, 0.1),
        (FINE, RAIN, 0.02),
        ({"pressure": 1030}, {"pressure": 1000}, 0.02),
    ],
    ids=["storm", "evening", "rain", "low pressure"],
)
def test_what_delays_flights_raises_the_probability(better, worse, least):
    rise = chances(_everywhere(**worse)) - chances(_everywhere(**better))

    assert rise.mean() > least
    assert (rise > 0).mean() > 0.9


def test_real_flights_in_a_made_up_storm_are_late_more_often():
    x = _real()
    stormy = x.copy()
    for name, value in STORM.items():
        stormy[:, NAMES.index(name)] = value

    assert _rescored(stormy).mean() > _rescored(x).mean() + 0.1


# Invariance: what cannot matter must not matter (much).
def test_a_tenth_of_a_degree_hardly_matters():
    x = _real()
    moved = x.copy()
    moved[:, NAMES.index("temp")] += 0.1

    change = np.abs(_rescored(moved) - _rescored(x))

    assert change.mean() < 0.005


def test_the_order_and_the_company_of_rows_do_not_matter():
    x = _real(300)

    np.testing.assert_allclose(_rescored(x[::-1])[::-1], _rescored(x), atol=1e-7)
    np.testing.assert_allclose([_rescored(row[None])[0] for row in x[:20]], _rescored(x)[:20], atol=1e-7)


def test_an_unknown_category_is_treated_like_a_missing_one():
    assert chances([{**FLIGHT, "dest": "XXX"}]) == chances([{**FLIGHT, "dest": None}])


def test_an_unknown_destination_is_an_average_one():
    known = chances([{**FLIGHT, "dest": dest} for dest in DESTINATIONS])

    (unknown,) = chances([{**FLIGHT, "dest": "XXX"}])

    assert known.min() <= unknown <= known.max()


# Minimum function: cases that a model which gets them wrong may not be released with.
@pytest.mark.parametrize(
    ("flight", "late"),
    [
        ({**FLIGHT, "sched_dep": 375, "sched_arr": 495, "carrier": "DL"}, False),
        ({**FLIGHT, "sched_dep": 420, "sched_arr": 540, "carrier": "US", "dest": "BOS", "distance": 187}, False),
        ({**FLIGHT, **STORM, "sched_dep": 1170, "sched_arr": 1290}, True),
        ({**FLIGHT, **STORM, "carrier": "EV", "origin": "EWR", "sched_dep": 1230, "sched_arr": 1350}, True),
    ],
    ids=["fine early morning", "fine short hop", "stormy evening", "stormy late regional"],
)
def test_a_plain_case_gets_the_plain_answer(flight, late):
    serving = json.loads(candidate().serving_path.read_text())

    (predicted,), _ = score(candidate().model_path, serving, encode_rows(FEATURES, [flight]))

    assert bool(predicted) is late


def test_a_flight_of_which_little_is_known_still_gets_a_probability():
    bare = {f.name: None if f.nullable or f.kind == "category" else FLIGHT[f.name] for f in FEATURES}

    (chance,) = chances([bare])

    assert 0.05 < chance < 0.8
