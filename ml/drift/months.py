"""What each rule would have said in every month of the source: the table in docs/drift.md. Pure.

Each month is compared with all months before it, as a release made at its end would be.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.drift.compare import compare
from ml.drift.decide import judge, ranked
from ml.drift.reference import prepare_columns
from ml.drift.rows import Rows
from ml.problem import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Month:
    """One month: which features the classic rule, whatever their role, and ours call moved, ranked by effect."""

    month: str
    rows: int
    classic: tuple[str, ...]
    alarms: tuple[str, ...]
    warnings: tuple[str, ...]


def months(problem: Problem, rows: Rows, policy: Mapping[str, Any]) -> Iterator[Month]:
    """Every month but the first, in order."""
    known = sorted(set(rows.months.tolist()))
    for index in range(1, len(known)):
        earlier, now = rows.of(known[:index]), rows.of([known[index]])
        prepared = prepare_columns(problem.features, earlier.columns(problem), {})
        section = {"features": compare(prepared, now.columns(problem))}
        classic = [o.feature for o in ranked(judge(section, {**policy, "rule": "classic"})) if o.state == "moved"]
        ours = [outcome for outcome in ranked(judge(section, policy)) if outcome.state == "moved"]
        yield Month(
            month=known[index],
            rows=int(np.size(now.months)),
            classic=tuple(classic),
            alarms=tuple(outcome.name for outcome in ours if outcome.role == "gate"),
            warnings=tuple(outcome.name for outcome in ours if outcome.role == "watch"),
        )


def markdown(found: Iterator[Month], numbers: int) -> str:
    """The table, a line a month."""
    lines = ["| month | rows | p < 0.05 alone | ours: alarm | ours: warning |", "|---|---|---|---|---|"]
    for month in found:
        naive = f"{len(month.classic)} of {numbers} numbers"
        shown = [", ".join(names) or "none" for names in (month.alarms, month.warnings)]
        lines.append(f"| {month.month} | {month.rows:,} | {naive} | {shown[0]} | {shown[1]} |")
    return "\n".join(lines)
