"""Tables whose cells can be read and say something wrong: units, swapped columns, keys, times, types, nulls."""

import pandas as pd

from tests.data.malformed.case import TOTAL, Case, cells, flown, scaled, swapped

C = (1 / 1.8, -32 / 1.8)  # from degF
SYSTEMIC, SHARE = "ML-DATA-003", "ML-DATA-004"


def _month(column, month, value):
    def change(table):
        there = table["departure"].dt.month == month
        return table.assign(**{column: table[column].mask(there, value(table[column]))})

    return change


def _both(one, other):
    return lambda table: other(one(table))


def _written(form, zone=None):
    """The times as text in another form; with a zone, that moment in that zone."""

    def change(table):
        local = table["departure"].dt.tz_localize("America/New_York")
        there = local if zone is None else local.dt.tz_convert(zone)
        return table.assign(departure=there.dt.strftime(form))

    return change


def _mixed(table):
    aware = _written("%Y-%m-%dT%H:%M:%S%z")(table)["departure"]
    return table.assign(departure=table["departure"].astype(str).where(table.index % 2 == 0, aware))


def _again(rows, **changes):
    """Rows once more, at the end."""
    return lambda table: pd.concat([table, table.loc[flown(table, rows)].assign(**changes)])


def _skipped_hour(table):
    return _both(lambda t: t, cells("departure", "2013-03-10 02:30:00", 1))(table)


def _serial(table):
    return table.assign(departure=(table["departure"] - pd.Timestamp("1899-12-30")) / pd.Timedelta(days=1))


CASES = {
    "text-among-numbers": Case(
        words="`far` as a temperature, 5 times", table=cells("temp", "far", 5), rejected={"temp:wrong_type": 5}
    ),
    "zero-byte-cell": Case(
        words="a zero byte inside a number", table=cells("temp", "6\x005", 1), rejected={"temp:wrong_type": 1}
    ),
    "infinite": Case(
        words="an infinite temperature, twice", table=cells("temp", "inf", 2), rejected={"temp:above_maximum": 2}
    ),
    "spellings-of-missing": Case(words="`NA` where a null is legal", table=cells("temp", "NA", 10)),
    "padded-numbers": Case(
        words="spaces around numbers", table=lambda t: t.assign(temp=t["temp"].map(" {} ".format)), same=True
    ),
    "thousands": Case(words="`1,040` miles", table=cells("distance", "1,040", 4), rejected={"distance:wrong_type": 4}),
    "fractional-key": Case(
        words="flight number 12.5", table=cells("flight", 12.5, 3), rejected={"flight:wrong_type": 3}
    ),
    "formula": Case(
        words="a spreadsheet formula as carrier",
        table=cells("carrier", '=HYPERLINK("http://x")', 1),
        rejected={"carrier:unknown_category": 1},
    ),
    "lower-case": Case(
        words="`jfk` for `JFK`", table=cells("origin", "jfk", 3), rejected={"origin:unknown_category": 3}
    ),
    "illegal-null": Case(
        words="4 distances are missing", table=cells("distance", None, 4), rejected={"distance:missing": 4}
    ),
    "odd-label": Case(words="a label that is no class", table=cells("late", 2, 3), rejected={"late:unknown_label": 3}),
    "boolean-label": Case(
        words="`True` for 1.0",
        table=lambda t: t.assign(late=t["late"] == 1),
        code=SHARE,
        unlabelled=(0, 0),
        rejected={"late:wrong_type": TOTAL},
    ),
    "lost-labels": Case(
        words="no label at all", table=lambda t: t.assign(late=None), code=SHARE, rejected={"late:missing": 2186}
    ),
    "celsius": Case(
        words="temperature and dew point in degC",
        table=_both(scaled("temp", *C), scaled("dewp", *C)),
        code=SYSTEMIC,
        findings=["temp:unit", "dewp:unit"],
    ),
    "one-month-celsius": Case(
        words="July's temperatures in degC",
        table=_month("temp", 7, lambda c: c * C[0] + C[1]),
        code=SYSTEMIC,
        findings=["temp:unit", "dewp:unit"],
        rejected={"dewp_above_temp": 1098},
    ),
    "dew-point-celsius": Case(
        words="only the dew point in degC", table=scaled("dewp", *C), code=SYSTEMIC, findings=["dewp:unit"]
    ),
    "kelvin": Case(
        words="temperature in kelvin",
        table=scaled("temp", C[0], C[1] + 273.15),
        code=SYSTEMIC,
        findings=["temp:unit", "dewp:unit"],
        rejected={"temp:above_maximum": 2184},
    ),
    "fractions": Case(
        words="humidity as a fraction", table=scaled("humid", 0.01), code=SYSTEMIC, findings=["dewp:unit", "humid:unit"]
    ),
    "kilometres": Case(
        words="distance in km", table=scaled("distance", 1.609344), code=SYSTEMIC, findings=["distance:unit"]
    ),
    "metres-a-second": Case(
        words="wind in m/s", table=scaled("wind_speed", 0.44704), code=SYSTEMIC, findings=["wind_speed:unit"]
    ),
    "kilometres-an-hour": Case(
        words="wind in km/h", table=scaled("wind_speed", 1.609344), code=SYSTEMIC, findings=["wind_speed:unit"]
    ),
    "millimetres": Case(
        words="rain in mm",
        table=scaled("precip", 25.4),
        code=SYSTEMIC,
        findings=["precip:unit"],
        rejected={"precip:above_maximum": 3},
    ),
    "inches-of-mercury": Case(
        words="pressure in inHg",
        table=scaled("pressure", 0.02953),
        code=SYSTEMIC,
        findings=["pressure:unit"],
        rejected={"pressure:below_minimum": 1831},
    ),
    "visibility-km": Case(
        words="visibility in km",
        table=scaled("visib", 1.609344),
        code=SYSTEMIC,
        findings=["visib:unit"],
        rejected={"visib:above_maximum": 2008},
    ),
    "clock-times": Case(
        words="`sched_dep` as 1730",
        table=lambda t: t.assign(sched_dep=t["sched_dep"] // 60 * 100 + t["sched_dep"] % 60),
        code=SYSTEMIC,
        findings=["sched_dep:unit"],
        rejected={"sched_dep:above_maximum": 1039, "sched_dep_not_of_departure": 1147},
    ),
    "hours": Case(
        words="`sched_arr` in hours", table=scaled("sched_arr", 1 / 60), code=SYSTEMIC, findings=["sched_arr:unit"]
    ),
    "weekday-from-0": Case(
        words="weekdays from 0",
        table=scaled("weekday", 1, -1),
        code=SHARE,
        rejected={"weekday:below_minimum": 366, "weekday_not_of_date": 1820},
    ),
    "swapped-airports": Case(
        words="`origin` and `dest` swapped",
        table=swapped("origin", "dest"),
        code=SHARE,
        rejected={"dest:unknown_category": 1542, "origin:unknown_category": 644},
    ),
    "swapped-weather": Case(
        words="`temp` and `dewp` swapped",
        table=swapped("temp", "dewp"),
        code=SYSTEMIC,
        findings=["dewp:unit"],
        rejected={"dewp:above_maximum": 3, "dewp_above_temp": 2179},
    ),
    "swapped-times": Case(
        words="`sched_dep` and `sched_arr` swapped",
        table=swapped("sched_dep", "sched_arr"),
        code=SHARE,
        rejected={"sched_dep_not_of_departure": 2186},
    ),
    "swapped-humidity": Case(
        words="`humid` and `pressure` swapped",
        table=swapped("humid", "pressure"),
        code=SYSTEMIC,
        findings=["humid:mostly_missing", "dewp:unit", "humid:unit", "pressure:unit"],
        rejected={"humid:above_maximum": 1831, "pressure:below_minimum": 353},
    ),
    "swapped-plane": Case(
        words="`seats` and `plane_year` swapped",
        table=swapped("seats", "plane_year"),
        code=SYSTEMIC,
        findings=["seats:unit"],
        rejected={"plane_year:below_minimum": 1872},
    ),
    "swapped-wind": Case(
        words="`visib` and `wind_speed` swapped",
        table=swapped("visib", "wind_speed"),
        code=SYSTEMIC,
        findings=["visib:unit"],
        rejected={"visib:above_maximum": 1218},
    ),
    "repeated-rows": Case(words="20 rows a second time", table=_again(20), total=TOTAL + 20, duplicates=20, same=True),
    "repeated-keys": Case(
        words="5 keys again with other values", table=_again(5, temp=70.0), total=TOTAL + 5, duplicates=5, same=True
    ),
    "loaded-twice": Case(
        words="the whole file twice",
        table=lambda t: pd.concat([t, t]),
        total=2 * TOTAL,
        unlabelled=(194, 34),
        duplicates=2186,
        same=True,
    ),
    "utc": Case(words="times in UTC, marked Z", table=_written("%Y-%m-%dT%H:%M:%SZ", "UTC"), same=True),
    "offsets": Case(words="times with -0400", table=_written("%Y-%m-%dT%H:%M:%S%z"), same=True),
    "utc-unmarked": Case(
        words="times in UTC, not said",
        table=_written("%Y-%m-%d %H:%M:%S", "UTC"),
        code=SHARE,
        rejected={"departure:from_the_future": 4, "sched_dep_not_of_departure": 2182},
    ),
    "utc-said": Case(
        words="times in UTC, with `--time-zone`",
        table=_written("%Y-%m-%d %H:%M:%S", "UTC"),
        options=("--as-of", "2013-08-01", "--time-zone", "UTC"),
        same=True,
    ),
    "mixed-zones": Case(
        words="every second time has an offset", table=_mixed, code="ML-DATA-009", total=None, unlabelled=(0, 0)
    ),
    "aware-parquet": Case(
        words="Parquet times in Tokyo's zone",
        file="flights.parquet",
        same=True,
        write=lambda t, p: t.assign(
            departure=t["departure"].dt.tz_localize("America/New_York").dt.tz_convert("Asia/Tokyo")
        ).to_parquet(p),
    ),
    "american-dates": Case(
        words="dates as 06/30/2013",
        table=_written("%m/%d/%Y %H:%M"),
        code=SHARE,
        unlabelled=(0, 0),
        rejected={"departure:wrong_type": TOTAL},
    ),
    "spreadsheet-dates": Case(
        words="dates as 41455.25",
        table=_serial,
        code=SHARE,
        unlabelled=(0, 0),
        rejected={"departure:wrong_type": TOTAL},
    ),
    "skipped-hour": Case(
        words="a time that the clock skipped", table=_skipped_hour, rejected={"departure:no_such_time": 1}
    ),
    "from-the-future": Case(
        words="2 flights of 2031",
        table=cells("departure", "2031-06-01 06:00:00", 2),
        rejected={"departure:from_the_future": 2},
    ),
    "stale": Case(
        words="nothing newer than a month",
        options=("--as-of", "2013-09-01"),
        code=SYSTEMIC,
        findings=["departure:stale"],
    ),
    "wrong-century": Case(
        words="1913 for 2013",
        table=lambda t: t.assign(departure=t["departure"] - pd.DateOffset(years=100)),
        code=SYSTEMIC,
        findings=["departure:stale"],
        rejected={"plane_from_the_future": 1845, "weekday_not_of_date": 341},
    ),
    "month-of-nulls": Case(
        words="no temperature in July",
        table=_month("temp", 7, lambda c: None),
        code=SYSTEMIC,
        findings=["temp:mostly_missing"],
    ),
    "column-of-nulls": Case(
        words="no pressure at all",
        table=lambda t: t.assign(pressure=None),
        code=SYSTEMIC,
        findings=["pressure:mostly_missing"],
    ),
    "illegal-column-of-nulls": Case(
        words="no distance at all",
        table=lambda t: t.assign(distance=None),
        code=SHARE,
        rejected={"distance:missing": 2186},
    ),
}
