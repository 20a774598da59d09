import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.flights.features import FEATURES, transform

NAMES = [feature.name for feature in FEATURES]


def _row(**values):
    return np.array([[values.get(name, 0.0) for name in NAMES]], dtype=np.float32)


@given(st.integers(0, 1439), st.integers(0, 1439))
def test_the_scheduled_duration_is_less_than_a_day_also_across_midnight(departure, arrival):
    (duration,) = transform(_row(sched_dep=departure, sched_arr=arrival))[:, -1]

    assert 0 <= duration < 1440
    assert (departure + duration) % 1440 == arrival


def test_transform_keeps_the_rows_and_missing_values():
    row = _row(sched_dep=100, sched_arr=200, temp=np.nan)

    out = transform(row)

    np.testing.assert_array_equal(out[:, :-1], row)
    assert out.dtype == np.float32


def test_no_rows_give_no_rows():
    assert transform(np.empty((0, len(NAMES)), dtype=np.float32)).shape == (0, len(NAMES) + 1)


def test_nothing_that_happens_after_departure_is_a_feature():
    assert not {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "late", "status"} & set(NAMES)


def test_weather_calendar_and_routes_are_watched_and_everything_else_gates():
    watched = {feature.name for feature in FEATURES if feature.drift == "watch"}

    assert watched == {"dest", "weekday", "temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"}
    assert {feature.drift for feature in FEATURES if feature.name not in watched} == {"gate"}


def test_the_model_server_can_load_the_features_with_numpy_alone():
    code = (
        "import sys, ml.flights.features, ml.data.transform\n"
        "heavy = {'pandas', 'sklearn', 'pandera', 'onnx', 'mlflow', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
