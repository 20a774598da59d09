"""Small frames in the shape of the package's files."""

import pandas as pd

FLIGHT = {
    "year": 2013, "month": 3, "day": 4, "dep_time": 905.0, "sched_dep_time": 900, "dep_delay": 5.0, "arr_time": 1130.0,
    "sched_arr_time": 1115, "arr_delay": 15.0, "carrier": "UA", "flight": 1, "tailnum": "N1", "origin": "JFK",
    "dest": "ORD", "air_time": 120.0, "distance": 740, "hour": 9, "minute": 0, "time_hour": "2013-03-04T14:00:00Z",
}  # fmt: skip
HOUR = {
    "origin": "JFK", "year": 2013, "month": 3, "day": 4, "hour": 8, "temp": 40.0, "dewp": 30.0, "humid": 60.0,
    "wind_dir": 10.0, "wind_speed": 5.0, "wind_gust": None, "precip": 0.0, "pressure": 1010.0, "visib": 10.0,
    "time_hour": "2013-03-04T13:00:00Z",
}  # fmt: skip
PLANE = {"tailnum": "N1", "year": 1999.0, "seats": 150}


def frames(flights=({},), hours=({},), planes=({},)):
    return tuple(
        pd.DataFrame([{**base, **change} for change in changes])
        for base, changes in ((FLIGHT, flights), (HOUR, hours), (PLANE, planes))
    )
