"""What a flight must look like: ranges as for requests, rules across columns, and what a month of flights looks like.

Cancelled flights have no label. The medians are those of the months of 2013 with room on both sides; a median cannot
tell miles from nautical miles or mph from knots, which differ by 15 %.
"""

import numpy as np
import pandas as pd
import pandera.pandas as pa

from ml.data.contract import Contract, across, columns
from ml.data.systemic import Freshness, Typical
from ml.flights.features import FEATURES


def _minute_of_day(table: pd.DataFrame) -> "pd.Series[int]":
    departure = pd.to_datetime(table["departure"])
    return departure.dt.hour * 60 + departure.dt.minute


def _dew_point_error(table: pd.DataFrame) -> "pd.Series[float]":
    """How far the dew point is from what temperature and humidity say, degF. It moves with the season, this does not.

    Source: Magnus formula with the constants of Alduchov and Eskridge, 1996: 17.625 and 243.04 degC.
    """
    celsius = (table["temp"] - 32) / 1.8
    gamma = np.log(table["humid"].where(table["humid"] > 0) / 100) + 17.625 * celsius / (243.04 + celsius)
    error: pd.Series[float] = (table["dewp"] - (243.04 * gamma / (17.625 - gamma) * 1.8 + 32)).abs()
    return error


def _wet_hours(table: pd.DataFrame) -> "pd.Series[float]":
    return table["precip"].where(table["precip"] > 0)


CONTRACT = Contract(
    schema=pa.DataFrameSchema(
        {
            "departure": pa.Column("datetime64[us]"),
            "flight": pa.Column(int, pa.Check.gt(0, error="below_minimum")),
            "status": pa.Column(str, pa.Check.isin(["flown", "cancelled", "diverted"], error="unknown_status")),
            "late": pa.Column(float, pa.Check.isin([0.0, 1.0], error="unknown_label")),
            **columns(FEATURES),
        },
        checks=[
            across("weekday_not_of_date", lambda t: t["weekday"] == t["departure"].dt.day_of_week + 1),
            across("sched_dep_not_of_departure", lambda t: t["sched_dep"] == _minute_of_day(t)),
            across("dest_is_origin", lambda t: t["dest"] != t["origin"]),
            # Sensors round to a tenth; a dew point above the temperature is physically impossible.
            across("dewp_above_temp", lambda t: ~(t["dewp"] > t["temp"] + 0.2)),
            across("plane_from_the_future", lambda t: ~(t["plane_year"] > t["departure"].dt.year)),
        ],
    ),
    drops={
        "cancelled": lambda t: t["status"] == "cancelled",
        "diverted": lambda t: t["status"] == "diverted",
    },
    time="departure",
    zone="America/New_York",
    typical={
        "sched_dep": Typical(low=700, high=1000, unit="minutes after midnight"),
        "sched_arr": Typical(low=800, high=1150, unit="minutes after midnight"),
        "distance": Typical(low=600, high=1150, unit="miles"),
        "seats": Typical(low=50, high=300, unit="seats"),
        "temp": Typical(low=28, high=95, unit="degF"),
        "dewp": Typical(low=0, high=2, unit="degF", of=_dew_point_error),
        "humid": Typical(low=30, high=90, unit="%"),
        "wind_speed": Typical(low=6.5, high=14, unit="mph"),
        "precip": Typical(low=0.005, high=0.25, unit="inches an hour where it rains", of=_wet_hours),
        "pressure": Typical(low=990, high=1040, unit="hPa"),
        "visib": Typical(low=4, high=10, unit="miles"),
    },
    max_missing_share=0.1,
    # Planes that the registry does not know, and a sensor that is often off: up to 19 % in a month of 2013.
    missing={"plane_year": 0.3, "seats": 0.3, "pressure": 0.3},
    freshness=Freshness(max_age_days=3),
)
