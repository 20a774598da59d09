"""How often the gate passes a candidate exactly one margin worse, and an equal one, for every metric it judges.

Called by `benchmarks.gate`. Each trial draws rows and two models of `benchmarks.gate_pairs`, makes the numbers of a
record with `ml.statistics.paired` and decides with `ml.statistics.comparison`, as the gate does.
"""

import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.bounds import upper
from benchmarks.gate_exact import exact
from benchmarks.gate_pairs import LAWS, Classes, Numbers
from ml.evaluation.metrics import evaluate
from ml.gate.metrics import METRICS
from ml.statistics.comparison import compare, is_usable
from ml.statistics.paired import paired

ALPHA, POWER = 0.05, 0.8
SIZES = (100, 500, 2_000, 10_000)
WORSE_TRIALS, EQUAL_TRIALS = 20_000, 2_000
_CHUNK = 500
_CHECKED_ROWS = 500_000


@dataclass(frozen=True, kw_only=True)
class Task:
    """Some trials of one cell; the seed follows from what it is, so the order of the work does not matter."""

    law: int
    rows: int
    equal: bool
    chunk: int

    def random(self, seed: int) -> np.random.Generator:
        """A stream of its own."""
        return np.random.default_rng([seed, self.law, self.rows, int(self.equal), self.chunk])


def tables(seed: int) -> list[str]:
    """Two Markdown tables."""
    for law in LAWS:
        _check_truth(law, seed)
    found: dict[tuple[int, str, int, bool], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    tasks = list(_tasks())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for task, sums in zip(tasks, pool.map(_run, tasks, [seed] * len(tasks)), strict=True):
            for name, (passed, expected) in sums.items():
                cell = found[task.law, name, task.rows, task.equal]
                cell[:] = [cell[0] + _CHUNK, cell[1] + passed, cell[2] + expected]
            if task.equal and task.chunk == 0:  # the others of this cell are done
                rates = {name: found[task.law, name, task.rows, False] for name in sums}
                shown = ", ".join(f"{name} {100 * cell[1] / cell[0]:.2f} %" for name, cell in rates.items())
                print(f"{LAWS[task.law].name}, {task.rows:,} rows: {shown}", file=sys.stderr, flush=True)
    return [
        f"A candidate exactly one margin worse passes, {WORSE_TRIALS:,} trials a cell (99 % bound):",
        "",
        *_table(found, equal=False),
        "",
        "The same without chance for the shares of rows, by enumeration (recall: of the expected number of rows):",
        "",
        *_exact_table(seed),
        "",
        f"An equal one passes, {EQUAL_TRIALS:,} trials a cell (what the record's `pass_if_equal` says, on average):",
        "",
        *_table(found, equal=True),
    ]


def _tasks() -> Iterator[Task]:
    """Few rows first, so that what is wrong shows early."""
    for rows in SIZES:
        for law in range(len(LAWS)):
            for equal, trials in ((False, WORSE_TRIALS), (True, EQUAL_TRIALS)):
                for chunk in range(trials // _CHUNK):
                    yield Task(law=law, rows=rows, equal=equal, chunk=chunk)


def _run(task: Task, seed: int) -> dict[str, tuple[int, float]]:
    """By metric how many trials passed, and the sum of the chances that the record states for an equal model."""
    law, random = LAWS[task.law], task.random(seed)
    margins = _margins(task.law)
    sums: dict[str, list[float]] = {name: [0, 0.0] for name in margins}
    for _ in range(_CHUNK):
        labels, candidate, champion = law.draw(random, task.rows, equal=task.equal)
        entries = paired(law.kind, labels, candidate, champion, classes=law.classes)
        # As the gate does it: a relative margin is a share of what the champion has on these rows.
        theirs = evaluate("regression", labels, champion.predictions, None) if isinstance(law, Numbers) else {}
        for name, margin in margins.items():
            if not is_usable(entries[name]):  # as the gate: no row of the class that a share is of never passes
                continue
            judged = compare(
                entries[name],
                margin=margin * theirs[name] if _is_relative(law, name) else margin,
                alpha=ALPHA,
                power=POWER,
                higher_is_better=METRICS[name].higher_is_better,
            )
            sums[name][0] += judged.non_inferior
            sums[name][1] += judged.pass_if_equal
    return {name: (int(passed), expected) for name, (passed, expected) in sums.items()}


_KNOWN: dict[int, dict[str, float]] = {}


def _margins(law: int) -> Mapping[str, float]:
    """The margin of each metric is its true drop; integrated once a process."""
    if law not in _KNOWN:
        _KNOWN[law] = {name: abs(drop) for name, drop in LAWS[law].truth().items()}
    return _KNOWN[law]


def _is_relative(law: Any, name: str) -> bool:
    return isinstance(law, Numbers) and name in ("mae", "rmse")


def _check_truth(law: Any, seed: int) -> None:
    """The stated truth against many rows of the very draws: a truth that is wrong would pass for a wrong test."""
    random = np.random.default_rng([seed, 1])
    labels, candidate, champion = law.draw(random, _CHECKED_ROWS, equal=False)
    theirs = evaluate(law.kind, labels, champion.predictions, champion.probabilities, classes=law.classes)
    known = law.truth()
    for name, entry in paired(law.kind, labels, candidate, champion, classes=law.classes).items():
        truth = known[name] * (theirs[name] if _is_relative(law, name) else 1.0)
        worse = truth < 0 if METRICS[name].higher_is_better else truth > 0
        if not worse or abs(entry["difference"] - truth) > 4.5 * entry["standard_error"]:
            raise SystemExit(f"{law.name}: {name}: {entry} is not {truth}: nothing is simulated")


def _table(found: Mapping[tuple[int, str, int, bool], list[float]], *, equal: bool) -> list[str]:
    lines = _head()
    for index, law in enumerate(LAWS):
        for name, margin in _margins(index).items():
            stated = f"{100 * margin:.0f} %" if _is_relative(law, name) else f"{margin:.4f}"
            cells = [_cell(*found[index, name, rows, equal], equal=equal) for rows in SIZES]
            lines.append(f"| {law.name} | {name} | {stated} | {' | '.join(cells)} |")
    return lines


def _exact_table(seed: int) -> list[str]:
    """Accuracy and recall by enumeration; only how many rows differ is drawn, which hardly matters."""
    lines = _head()
    for index, law in enumerate(LAWS):
        if isinstance(law, Classes):
            labels, ours, theirs = law.draw(np.random.default_rng([seed, 1]), _CHECKED_ROWS, equal=False)
            differs = (ours.predictions == labels) != (theirs.predictions == labels)
            asked = {"accuracy": np.ones(_CHECKED_ROWS, dtype=bool), "recall": labels == law.classes[-1]}
            for name in ("accuracy", "recall") if law.kind == "binary" else ("accuracy",):
                margin, share = _margins(index)[name], float(asked[name].mean())
                discordant = float(differs[asked[name]].mean())
                sizes = [exact(round(rows * share), discordant, -margin, margin, ALPHA)[0] for rows in SIZES]
                cells = " | ".join(f"{100 * size:.2f} %" for size in sizes)
                lines.append(f"| {law.name} | {name} | {margin:.4f} | {cells} |")
    return lines


def _head() -> list[str]:
    heads = ["problem", "metric", "margin", *(f"{rows:,} rows" for rows in SIZES)]
    return [f"| {' | '.join(heads)} |", "|---|---|" + "---:|" * (len(heads) - 2)]


def _cell(trials: float, passed: float, expected: float, *, equal: bool) -> str:
    if equal:
        return f"{100 * passed / trials:.0f} % ({100 * expected / trials:.0f} %)"
    return f"{100 * passed / trials:.2f} % ({100 * upper(int(passed), int(trials)):.2f} %)"
