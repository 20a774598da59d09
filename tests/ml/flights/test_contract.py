from dataclasses import replace

import pandas as pd
import pytest

from ml.data.checker import check
from ml.flights import source
from ml.flights.contract import CONTRACT
from ml.flights.problem import PROBLEM
from tests.ml.flights.frames import frames

# Rules for rows alone: one flight a hundred times over is no typical month.
ROWS = replace(CONTRACT, typical={}, max_missing_share=1.0, missing={})
MANY = tuple({"flight": number} for number in range(1, 201))


@pytest.fixture(scope="module")
def joined():
    return source.join(*frames(flights=MANY))


@pytest.fixture
def table(joined):
    """A copy to spoil."""
    return joined.copy()


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("wind_speed", 1048.36, "wind_speed:above_maximum"),  # stands in the package, at an hour without flights
        ("temp", -100.0, "temp:below_minimum"),
        ("humid", 100.1, "humid:above_maximum"),
        ("carrier", "ZZ", "carrier:unknown_category"),
        ("distance", None, "distance:missing"),
        ("weekday", 2.0, "weekday_not_of_date"),
        ("sched_dep", 541.0, "sched_dep_not_of_departure"),
        ("dest", "LGA", "dest_is_origin"),
        ("dewp", 41.0, "dewp_above_temp"),
        ("plane_year", 2014.0, "plane_from_the_future"),
        ("departure", pd.NaT, "departure:missing"),
    ],
)
def test_one_bad_flight_among_many_is_rejected_with_its_reason(table, column, value, code):
    if code == "dest_is_origin":
        table.loc[7, "origin"] = value
    table.loc[7, column] = value

    accepted, ledger = check(ROWS, table, key=PROBLEM.key)

    assert ledger.accepted == len(table) - 1
    assert code in ledger.broken
    assert 8 not in set(accepted["flight"])


@pytest.mark.parametrize("column", ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib", "seats"])
def test_weather_and_plane_may_be_missing(table, column):
    table[column] = float("nan")

    assert check(ROWS, table, key=PROBLEM.key)[1].accepted == len(table)


def test_flights_that_did_not_arrive_are_dropped_and_counted():
    changes = ({"dep_time": None, "arr_delay": None}, {"arr_delay": None, "flight": 2}, {"flight": 3})

    _, ledger = check(ROWS, source.join(*frames(flights=changes)), key=PROBLEM.key)

    assert ledger.left_out == {"cancelled": 1, "diverted": 1}
    assert ledger.accepted == 1
