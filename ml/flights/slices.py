"""The groups of flights for which the model must work as well: by airport, by carrier, by time of day."""

import itertools
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

_STARTS_H = (0, 6, 10, 14, 18, 24)  # night, morning, midday, afternoon, evening: delays grow through the day


def hour_band(table: pd.DataFrame) -> "pd.Series[str]":
    """The band of the scheduled departure, such as 06-10: from 6:00 to before 10:00, local time."""
    names = np.asarray([f"{start:02}-{stop:02}" for start, stop in itertools.pairwise(_STARTS_H)])
    band = np.searchsorted(_STARTS_H, table["sched_dep"] // 60, side="right") - 1
    return pd.Series(names[band], index=table.index)


SLICES: Mapping[str, str | Callable[[pd.DataFrame], "pd.Series[str]"]] = {
    "origin": "origin",
    "carrier": "carrier",
    "hour_band": hour_band,
}
