"""Enough rows to judge on. Pure."""

from collections.abc import Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.reasons import Reason


def enough_rows(test_rows: int, policy: Mapping[str, Any]) -> Check:
    """The number of judging rows, against the least that decides anything."""
    enough = test_rows >= policy["min_test_rows"]
    return check("test_rows", "rows", test_rows, policy["min_test_rows"], Reason.OK if enough else Reason.TOO_FEW_ROWS)
