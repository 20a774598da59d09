"""What a flight must look like: ranges as for requests, and rules across columns. Cancelled flights have no label."""

import pandas as pd
import pandera.pandas as pa

from ml.data.contract import Contract, across, columns
from ml.flights.features import FEATURES


def _minute_of_day(table: pd.DataFrame) -> "pd.Series[int]":
    departure = pd.to_datetime(table["departure"])
    return departure.dt.hour * 60 + departure.dt.minute


CONTRACT = Contract(
    schema=pa.DataFrameSchema(
        {
            "departure": pa.Column("datetime64[us]"),
            "flight": pa.Column(int, pa.Check.gt(0, error="below_minimum")),
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
)
