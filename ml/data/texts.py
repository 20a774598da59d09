"""Cells of text that mean a number, or that there is none: one reading for training data and for batch prediction."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "None")
"""What a number's or a time's cell may say instead of one: the spellings that pandas and R write."""


def trimmed(texts: pa.Array) -> pa.Array:
    """Without spaces around; what means "missing" as null."""
    without = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.is_in(without, pa.array(MISSING)), pa.scalar(None, pa.string()), without)


def number(text: str | None) -> Any:
    """The number that a text means; a text that means none stays as it is."""
    try:
        return pa.scalar(text, pa.string()).cast(pa.float64()).as_py()
    except pa.ArrowInvalid:
        return text
