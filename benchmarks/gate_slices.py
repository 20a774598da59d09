"""How often the gate's rule for slices fails a candidate: one that is no worse, and ones that are worse in a part.

Called by `benchmarks.gate`. Accuracy on three columns of slices, as the reference problem has them. The checks are made
by `ml.gate.rules.slices` itself, with the committed policy.
"""

import itertools
import math
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bounds import upper
from ml.evaluation.difference import Answers
from ml.evaluation.slices import Slice, Truth, compared, section
from ml.gate.policy import load
from ml.gate.rules.slices import sliced
from ml.statistics.influence import Influence
from ml.statistics.intervals import interval

SIZES = (2_000, 10_000)
TRIALS = 5_000
ACCURACY, DIFFERENT = 0.8, 0.1
"""Of the champion; and the share of rows that only one of both has right, where the candidate is not worse by more."""
COLUMNS: Mapping[str, tuple[float, ...]] = {
    "origin": (0.36, 0.33, 0.31),
    "carrier": (0.2, 0.17, 0.15, 0.12, 0.1, 0.08, 0.06, 0.04, 0.03, 0.02, 0.015, 0.015),
    "hour_band": (0.05, 0.25, 0.3, 0.25, 0.15),
}
LARGE, SMALL = ("origin", 1), ("carrier", 8)
Rows = Mapping[str, NDArray[np.intp]]
Hits = tuple[NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is true: the candidate's change of accuracy in slices, everywhere else `elsewhere`; the champion's level."""

    name: str
    elsewhere: float = 0.0
    changes: Mapping[tuple[str, int], float] = field(default_factory=dict)
    level: Mapping[tuple[str, int], float] = field(default_factory=dict)


CASES = (
    Case(name="equal everywhere"),
    Case(name="one margin worse everywhere", elsewhere=-0.03),
    Case(name="one margin worse in a third of the rows", changes={LARGE: -0.03}),
    Case(name="one margin worse in 3 % of the rows", changes={SMALL: -0.03}),
    Case(name="two margins worse in a third of the rows", changes={LARGE: -0.06}),
    Case(name="five margins worse in 3 % of the rows", changes={SMALL: -0.15}),
    Case(name="equal, 3 % of the rows exactly on the floor", level={SMALL: 0.5}),
    Case(name="equal, 3 % of the rows 15 points under the floor", level={SMALL: 0.35}),
)


def table(seed: int) -> list[str]:
    """A Markdown table."""
    _check_entries(np.random.default_rng([seed, 2]))
    lines = [
        f"How often the rule for slices fails a candidate, {TRIALS:,} trials a cell (99 % bound):",
        "",
        "| what is true | " + " | ".join(f"{rows:,} rows" for rows in SIZES) + " |",
        "|---|" + "---:|" * len(SIZES),
    ]
    cells = list(itertools.product(range(len(CASES)), SIZES))
    print(f"slices: {len(cells)} cells", file=sys.stderr)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        failed = dict(zip(cells, pool.map(_failures, *zip(*cells, strict=True), [seed] * len(cells)), strict=True))
    for index, case in enumerate(CASES):
        shown = [
            f"{100 * count / TRIALS:.2f} % ({100 * upper(count, TRIALS):.2f} %)"
            for count in (failed[index, rows] for rows in SIZES)
        ]
        lines.append(f"| {case.name} | {' | '.join(shown)} |")
    return lines


def _failures(index: int, rows: int, seed: int) -> int:
    """How many of the trials of one cell fail."""
    random, policy = np.random.default_rng([seed, index, rows]), load("binary")
    return sum(_fails(CASES[index], rows, policy, random) for _ in range(TRIALS))


def _fails(case: Case, rows: int, policy: Mapping[str, Any], random: np.random.Generator) -> bool:
    cut, hits = _draw(case, rows, random)
    ours, theirs = _record(cut, hits)
    champion = {"slices": theirs, "metrics": {"accuracy": float(hits[1].mean())}}
    checks = sliced({"confidence": 0.95, "slices": ours}, champion, policy)
    return any(check.outcome == "fail" for check in checks)


def _draw(case: Case, rows: int, random: np.random.Generator) -> tuple[Rows, Hits]:
    """In which slice of each column each row is; which rows the candidate and which the champion has right."""
    cut = {name: random.choice(len(shares), rows, p=shares) for name, shares in COLUMNS.items()}
    change, level = np.full(rows, case.elsewhere), np.full(rows, ACCURACY)
    for values, known in ((change, case.changes), (level, case.level)):
        for (column, index), value in known.items():
            values[cut[column] == index] = value
    different = np.maximum(DIFFERENT, -change)
    theirs = random.random(rows) < level
    # Among the champion's hits and misses the candidate loses and wins as often as makes the change.
    lost, won = (different - change) / 2 / level, (different + change) / 2 / (1 - level)
    moved = random.random(rows) < np.where(theirs, lost, won)
    return cut, (theirs ^ moved, theirs)


def _record(cut: Rows, hits: Hits) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two sections of a record, from counts: as `ml.evaluation.slices` writes them, in a hundredth of its time."""
    ours: dict[str, list[Any]] = {}
    theirs: dict[str, list[Any]] = {}
    for column, index in cut.items():
        count = len(COLUMNS[column])
        rows = np.bincount(index, minlength=count)
        right, won, lost = (
            np.bincount(index, weights=chosen, minlength=count)
            for chosen in (hits[0], hits[0] & ~hits[1], ~hits[0] & hits[1])
        )
        parts = [(str(i), int(rows[i])) for i in range(count) if rows[i] > 1]
        ours[column] = [{"value": v, "rows": n, **_level(int(right[int(v)]), n)} for v, n in parts]
        theirs[column] = [{"value": v, "rows": n, **_change(won[int(v)], lost[int(v)], n)} for v, n in parts]
    return {"metric": "accuracy", "columns": ours}, {"metric": "accuracy", "columns": theirs}


def _level(right: int, rows: int) -> dict[str, float]:
    share = right / rows
    values = np.repeat([1.0 - share, -share], [right, rows - right])
    found = interval("accuracy", Influence(estimate=share, values=values, support=float(rows)))
    return {"estimate": found.estimate, "low": found.low, "high": found.high}


def _change(won: float, lost: float, rows: int) -> dict[str, float]:
    squares = won + lost - (won - lost) ** 2 / rows
    return {"difference": (won - lost) / rows, "standard_error": math.sqrt(squares / (rows - 1) / rows)}


def _check_entries(random: np.random.Generator) -> None:
    """The sections from counts against those of `ml.evaluation.slices`."""
    cut, hits = _draw(CASES[0], 2_000, random)
    truth = Truth(kind="binary", labels=np.ones(2_000, dtype=int), classes=[0, 1], metric="accuracy")
    ours, theirs = (Answers(hit.astype(int), np.column_stack([1.0 - hit, 1.0 * hit])) for hit in hits)
    parts = [
        Slice(column=name, value=str(i), rows=np.flatnonzero(index == i))
        for name, index in cut.items()
        for i in np.unique(index)
    ]
    expected = section(parts, truth, ours, 0.95), compared(parts, truth, ours, theirs)
    for made, real in zip(_record(cut, hits), expected, strict=True):
        for column, entries in real["columns"].items():
            for left, right in zip(made["columns"][column], entries, strict=True):
                same = [math.isclose(left[key], right[key], abs_tol=1e-12) for key in right if key != "value"]
                if not all(same):
                    raise SystemExit(f"slice {column}: {left} is not {right}: nothing is simulated")
