"""Markdown that shows any value as it is and lets none of them act. Pure.

GitHub's dialect: a value may not end a table cell, open HTML, mention a person or link an issue.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

MAX_VALUE: Final = 300  # characters of one value
MAX_ROWS: Final = 200  # rows of one table; the job's log has the rest
_ACTIVE: Final = re.compile(r"([\\`*_{}\[\]<>|~$!&])")
# A zero-width space keeps "@name", "#12" and "GH-1" from becoming a mention or a reference.
_REFERENCE: Final = re.compile(r"([@#]|\bGH-)(?=\w)", re.IGNORECASE)
_LINK: Final = re.compile(r"\b(https?|www)([:.])", re.IGNORECASE)
_BACKTICKS: Final = re.compile(r"`+")
_ZERO_WIDTH: Final = "\u200b"


def plain(value: str) -> str:
    """Any text, on one line, without effect."""
    text = _REFERENCE.sub(rf"\1{_ZERO_WIDTH}", _one_line(value))
    text = _LINK.sub(rf"\1{_ZERO_WIDTH}\2", text)
    return _ACTIVE.sub(r"\\\1", text)


def code(value: str) -> str:
    """An identifier, in a code span that no backtick or pipe in it can end."""
    text = _one_line(value)
    if not text:
        return "-"
    if "\\" in text and "|" in text:  # table parsers disagree on a backslash before an escaped pipe in a code span
        return plain(text)
    text = text.replace("|", "\\|")
    fence = "`" * (max((len(run) for run in _BACKTICKS.findall(text)), default=0) + 1)
    space = " " if fence != "`" or text.startswith("`") or text.endswith("\\") else ""
    return f"{fence}{space}{text}{space}{fence}"


def block(text: str, limit: int) -> str:
    """Text of several lines in a fence that it cannot close."""
    kept = "\n".join(map(_printable, text.split("\n")))
    kept = kept if len(kept) <= limit else f"{kept[:limit]}\n… {len(kept) - limit} more characters in the job's log"
    fence = "`" * max(3, 1 + max((len(run) for run in _BACKTICKS.findall(kept)), default=0))
    return f"{fence}text\n{kept}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; says how many rows it left out."""
    every = list(rows)
    lines = [_row(head), _row(["---"] * len(head)), *(_row(row) for row in every[:MAX_ROWS])]
    if len(every) > MAX_ROWS:
        lines.append(_row([f"and {len(every) - MAX_ROWS} more", *[""] * (len(head) - 1)]))
    return "\n".join(lines)


def details(summary: str, body: str) -> str:
    """A part that is closed until somebody opens it; `summary` is Markdown-free text of ours."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _one_line(value: str) -> str:
    text = _printable(" ".join(value[: 4 * MAX_VALUE].split()))
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"


def _printable(text: str) -> str:
    # Most text is printable as it is, and a preview has thousands of values.
    return text if text.isprintable() else "".join(filter(str.isprintable, text))
