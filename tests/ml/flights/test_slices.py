import pandas as pd

from ml.flights.slices import SLICES, hour_band


def test_the_band_of_a_departure_holds_its_first_minute_and_not_its_last():
    minutes = [0, 359, 360, 599, 600, 1079, 1080, 1439]

    bands = hour_band(pd.DataFrame({"sched_dep": [float(minute) for minute in minutes]}))

    assert bands.tolist() == ["00-06", "00-06", "06-10", "06-10", "10-14", "14-18", "18-24", "18-24"]


def test_the_reference_problem_is_sliced_by_airport_carrier_and_time_of_day():
    assert list(SLICES) == ["origin", "carrier", "hour_band"]
