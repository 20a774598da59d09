"""What is known about a flight before it departs, and the columns the model sees.

Imports numpy only: the model server loads this module.
"""

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import Feature

CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
ORIGINS = ("EWR", "JFK", "LGA")
DESTINATIONS = tuple(
    (  # noqa: SIM905  (105 quoted names would be a page of their own)
        "ABQ ACK ALB ANC ATL AUS AVL BDL BGR BHM BNA BOS BQN BTV BUF BUR BWI BZN CAE CAK CHO CHS CLE CLT CMH CRW CVG "
        "DAY DCA DEN DFW DSM DTW EGE EYW FLL GRR GSO GSP HDN HNL HOU IAD IAH ILM IND JAC JAX LAS LAX LEX LGA LGB MCI "
        "MCO MDW MEM MHT MIA MKE MSN MSP MSY MTJ MVY MYR OAK OKC OMA ORD ORF PBI PDX PHL PHX PIT PSE PSP PVD PWM RDU "
        "RIC ROC RSW SAN SAT SAV SBN SDF SEA SFO SJC SJU SLC SMF SNA SRQ STL STT SYR TPA TUL TVC TYS XNA"
    ).split()
)

# No month and no day: the month that a release is judged on was never in its training rows, so a tree can only learn
# which past month was bad. Schedules and planes change slowly: if they jump, the source broke, hence `gate`.
FEATURES = (
    Feature(name="carrier", kind="category", categories=CARRIERS),
    Feature(name="origin", kind="category", categories=ORIGINS),
    # Routes open and close with the season: every month some 5 % of flights go elsewhere than in the months before.
    Feature(name="dest", kind="category", categories=DESTINATIONS, drift="watch"),
    Feature(name="weekday", kind="number", unit="1=Monday", minimum=1, maximum=7, drift="watch"),
    Feature(name="sched_dep", kind="number", unit="min after midnight, local", minimum=0, maximum=1439),
    Feature(name="sched_arr", kind="number", unit="min after midnight, local", minimum=0, maximum=1439),
    Feature(name="distance", kind="number", unit="mi", minimum=1, maximum=10_000),
    Feature(name="plane_year", kind="number", unit="year built", minimum=1930, maximum=2100, nullable=True),
    Feature(name="seats", kind="number", minimum=1, maximum=900, nullable=True),
    Feature(name="temp", kind="number", unit="degF", minimum=-60, maximum=130, nullable=True, drift="watch"),
    Feature(name="dewp", kind="number", unit="degF", minimum=-60, maximum=100, nullable=True, drift="watch"),
    Feature(name="humid", kind="number", unit="%", minimum=0, maximum=100, nullable=True, drift="watch"),
    Feature(name="wind_speed", kind="number", unit="mph", minimum=0, maximum=150, nullable=True, drift="watch"),
    Feature(name="precip", kind="number", unit="in/h", minimum=0, maximum=15, nullable=True, drift="watch"),
    Feature(name="pressure", kind="number", unit="hPa", minimum=870, maximum=1090, nullable=True, drift="watch"),
    Feature(name="visib", kind="number", unit="mi", minimum=0, maximum=10, nullable=True, drift="watch"),
)

_SCHED_DEP, _SCHED_ARR = (
    next(i for i, feature in enumerate(FEATURES) if feature.name == name) for name in ("sched_dep", "sched_arr")
)
_MINUTES_A_DAY = 1440.0


def transform(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add the scheduled duration: how much slack the timetable gives a route.

    Both times are local, so the time zones of the route are in it; for one route that is a constant.

    Args:
        x: Encoded rows, shape (n_rows, n_features).

    Returns:
        Shape (n_rows, n_features + 1), the duration in minutes last.
    """
    duration = (x[:, _SCHED_ARR] - x[:, _SCHED_DEP]) % np.float32(_MINUTES_A_DAY)
    return np.column_stack([x, duration]).astype(np.float32, copy=False)
