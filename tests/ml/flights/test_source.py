import pandas as pd
import pytest

from ml.flights import source
from tests.ml.flights.frames import frames


def test_a_flight_gets_the_weather_of_the_hour_before_and_its_plane():
    later = {"temp": 99.0, "time_hour": "2013-03-04T14:00:00Z"}

    (row,) = source.join(*frames(hours=({}, later))).to_dict("records")

    assert (row["temp"], row["plane_year"], row["seats"]) == (40.0, 1999.0, 150.0)
    assert row["departure"] == pd.Timestamp("2013-03-04 09:00")
    assert (row["weekday"], row["sched_dep"], row["sched_arr"]) == (1.0, 540.0, 675.0)


def test_what_is_unknown_is_missing_and_no_flight_is_lost():
    table = source.join(*frames(flights=({}, {"tailnum": None, "flight": 2}, {"origin": "EWR", "flight": 3})))

    assert len(table) == 3
    assert table["plane_year"].isna().sum() == 1
    assert table["temp"].isna().sum() == 1


@pytest.mark.parametrize(
    ("change", "status", "late"),
    [
        ({"arr_delay": 15.0}, "flown", 1.0),
        ({"arr_delay": 14.0}, "flown", 0.0),
        ({"arr_delay": -30.0}, "flown", 0.0),
        ({"arr_delay": None}, "diverted", None),
        ({"arr_delay": None, "dep_time": None}, "cancelled", None),
    ],
)
def test_late_is_fifteen_minutes_and_only_flown_flights_have_a_label(change, status, late):
    (row,) = source.join(*frames(flights=(change,))).to_dict("records")

    assert row["status"] == status
    assert row["late"] == late or (late is None and pd.isna(row["late"]))


def test_what_happened_afterwards_does_not_leave_the_source():
    assert not {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"} & set(source.join(*frames()).columns)


@pytest.fixture
def small_source(tmp_path, monkeypatch):
    monkeypatch.setenv("MLP_CACHE", str(tmp_path))
    built = []

    def build():
        built.append(1)
        return source.join(*frames(flights=({}, {"month": 4, "flight": 2}, {"month": 5, "flight": 3})))

    monkeypatch.setattr(source, "build", build)
    return built


def test_the_table_is_built_once_and_read_after_that(small_source):
    pd.testing.assert_frame_equal(source.load(), source.load())

    assert len(small_source) == 1
    assert not list(source.cache_file().parent.glob("*.part"))


@pytest.mark.parametrize("damage", [b"", b"PAR1 nonsense", None])
def test_a_damaged_cache_is_built_again(small_source, damage):
    whole = source.load()
    path = source.cache_file()
    content = path.read_bytes()
    flipped = content[:40] + bytes([content[40] ^ 0xFF]) + content[41:]
    path.write_bytes(flipped if damage is None else damage)

    pd.testing.assert_frame_equal(source.load(), whole)
    assert len(small_source) == 2


@pytest.mark.parametrize(
    ("first", "last", "flights"),
    [(None, None, [1, 2, 3]), ("2013-04", None, [2, 3]), (None, "2013-04", [1, 2]), ("2013-04", "2013-04", [2])],
)
def test_months_are_inclusive_on_both_ends(small_source, first, last, flights):
    assert source.load(first, last)["flight"].tolist() == flights
