"""Calendar months as `2013-06`. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ml.errors import UsageError

UNORDERED: Final = "unordered"
"""What a record says instead of a day where the problem has no time."""

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


def following(month: str) -> str:
    """The month after this one.

    Raises:
        UsageError: If it is not a month.
    """
    found = _MONTH.fullmatch(month)
    if found is None:
        raise UsageError(
            "ML-TRAIN-001", f"month {month!r}: must be YYYY-MM", "for example: mlp train --through 2013-06"
        )
    year, number = int(found[1]), int(found[2])
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}"


def end(month: str) -> datetime:
    """The moment at which a month is over: the first of the next one, naive as the months are.

    Raises:
        UsageError: If it is not a month.
    """
    return datetime.fromisoformat(f"{following(month)}-01")


def span(period: Mapping[str, Any]) -> str:
    """A record's `data.train` or `data.test` in words: first and last day, where the problem has time, and its rows."""
    rows = f"{period['rows']:,} rows"
    return rows if period["from"] == UNORDERED else f"{period['from']} to {period['to']} ({rows})"
