"""`python -m benchmarks.gate`: how often the gate's comparison is wrong, beside rules that others use.

Simulated pairs of models on the same rows, with stated seeds. The decisions are made by the gate's own functions from
the numbers a record holds. With `--write` the tables go into docs/gate.md.
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from ml.evaluation.difference import Answers
from ml.evaluation.metrics import evaluate
from ml.statistics.comparison import compare
from ml.statistics.paired import paired
from ml.statistics.shares import p_inferior
from toolchain.paths import repo_root

SEED = 20130701
ALPHA, MARGIN, POWER = 0.05, 0.005, 0.8
SIZES = (100, 500, 2_000, 10_000)
TRIALS = 100_000
TRUTHS = {"one margin worse": -MARGIN, "equal": 0.0, "1 point worse": -0.01, "1 point better": 0.01}
DISCORDANT = (0.01, 0.08, 0.2)  # share of rows that only one of the two models has right
SCORE_TRIALS = {100: 4_000, 500: 4_000, 2_000: 4_000, 10_000: 2_000}
BLOCKS = 200
BEGIN, END = "<!-- simulated: make bench-gate -->", "<!-- end simulated -->"

Rule = Callable[[NDArray[np.int64], NDArray[np.int64], int], NDArray[np.bool_]]


def sound(wins: NDArray[np.int64], losses: NDArray[np.int64], rows: int) -> NDArray[np.bool_]:
    """The gate's test, without its minimum of rows."""
    pairs, where = np.unique(np.stack([wins, losses]), axis=1, return_inverse=True)
    passes = [p_inferior(rows, int(w), int(c), MARGIN) <= ALPHA for w, c in pairs.T]
    return np.asarray(passes)[where.ravel()]


RULES: dict[str, Rule] = {
    "sound": sound,
    "candidate >= champion": lambda wins, losses, rows: wins - losses >= 0 * rows,
    "drop of at most 0.05": lambda wins, losses, rows: wins - losses >= -0.05 * rows,
    "MLflow, min_absolute_change 0.001": lambda wins, losses, rows: wins - losses >= 0.001 * rows,
}


def upper(passed: int, trials: int) -> float:
    """One-sided 99 % upper confidence bound of a share (Wilson)."""
    z, share = 2.326, passed / trials
    centre, half = share + z * z / (2 * trials), z * math.sqrt(share * (1 - share) / trials + z * z / 4 / trials**2)
    return (centre + half) / (1 + z * z / trials)


def exact(rows: int, discordant: float, change: float) -> float:
    """How often `sound` passes, over every likely pair of counts: no simulation, so no error of one."""
    win, loss = (discordant + change) / 2, (discordant - change) / 2
    columns, lines = _likely(rows, loss), _likely(rows, win)
    total = 0.0
    for losses in columns:
        # More wins never make it worse, so the first number of wins that passes decides.
        passing = np.searchsorted([p_inferior(rows, int(w), int(losses), MARGIN) <= ALPHA for w in lines], True)
        chances = binom.pmf(lines[passing:], rows - losses, win / (1 - loss))
        total += float(binom.pmf(losses, rows, loss) * chances.sum())
    return total


def _likely(rows: int, share: float) -> NDArray[np.int64]:
    """Counts that are not next to impossible."""
    return np.arange(int(binom.ppf(1e-9, rows, share)), int(binom.ppf(1 - 1e-9, rows, share)) + 1)


def accuracy_table() -> list[str]:
    """How often each rule passes, by true difference, rows and share of discordant rows."""
    others = [name for name in RULES if name != "sound"]
    lines = [
        f"| true difference | rows | rows that differ | sound (99 % bound) | exactly | {' | '.join(others)} |",
        "|---|---:|---:|---:|---:|" + "---:|" * len(others),
    ]
    for name, change in TRUTHS.items():
        for rows in SIZES:
            for discordant in DISCORDANT:
                random = np.random.default_rng([SEED, rows, round(discordant * 1000), round(change * 1000) + 100])
                shares = [(discordant + change) / 2, (discordant - change) / 2]
                wins, losses, _ = random.multinomial(rows, [*shares, 1 - sum(shares)], size=TRIALS).T
                passed = {rule: int(decide(wins, losses, rows).sum()) for rule, decide in RULES.items()}
                bound = upper(passed["sound"], TRIALS)
                cells = [f"{100 * passed[rule] / TRIALS:.1f} %" for rule in others]
                cell = f"{100 * passed['sound'] / TRIALS:.2f} % ({100 * bound:.2f} %)"
                known = f"{100 * exact(rows, discordant, change):.2f} %"
                lines.append(
                    f"| {name} | {rows:,} | {100 * discordant:.0f} % | {cell} | {known} | {' | '.join(cells)} |"
                )
    return lines


def _draw(random: np.random.Generator, rows: int, worse: float) -> tuple[NDArray[np.int64], Answers, Answers]:
    """Labels and two models that see the same signal with correlated noise; the candidate's noise is larger."""
    x, common = random.normal(size=rows), random.normal(size=rows)
    labels = (random.random(rows) < 1 / (1 + np.exp(-(2 * x - 1.2)))).astype(np.int64)

    def model(scale: float) -> Answers:
        seen = x + 0.6 * scale * (0.8 * common + 0.6 * random.normal(size=rows))
        chance = 1 / (1 + np.exp(-(1.3 * seen - 1.2)))
        return Answers((chance >= 0.35).astype(np.int64), np.column_stack([1 - chance, chance]))

    return labels, model(1.0), model(1.0 + worse)


def _truth(worse: float) -> dict[str, float]:
    """The true differences, from 60 million rows: at 10,000 rows a truth known less well would move the size itself."""
    random = np.random.default_rng(SEED)
    total: dict[str, float] = {}
    for _ in range(BLOCKS):
        labels, champion, candidate = _draw(random, 300_000, worse)
        theirs, ours = (
            evaluate("binary", labels, model.predictions, model.probabilities, classes=[0, 1])
            for model in (champion, candidate)
        )
        total = {name: total.get(name, 0.0) + (ours[name] - theirs[name]) / BLOCKS for name in ours}
    return total


def scores_table() -> list[str]:
    """How often a candidate exactly one margin worse passes, for the metrics of real scores."""
    worse = 0.15
    truth = _truth(worse)
    lines = ["| metric | margin | " + " | ".join(f"{rows:,} rows" for rows in SIZES) + " |"]
    lines.append("|---|---:|" + "---:|" * len(SIZES))
    cells: dict[str, list[str]] = {name: [] for name in truth}
    for rows in SIZES:
        random = np.random.default_rng([SEED, rows])
        passed = dict.fromkeys(truth, 0)
        for _ in range(SCORE_TRIALS[rows]):
            labels, champion, candidate = _draw(random, rows, worse)
            for name, entry in paired("binary", labels, candidate, champion, classes=[0, 1]).items():
                judged = compare(
                    entry, margin=abs(truth[name]), alpha=ALPHA, power=POWER, higher_is_better=name != "log_loss"
                )
                passed[name] += judged.non_inferior
        for name, count in passed.items():
            trials = SCORE_TRIALS[rows]
            cells[name].append(f"{100 * count / trials:.1f} % ({100 * upper(count, trials):.1f} %)")
    lines += [f"| {name} | {abs(truth[name]):.4f} | {' | '.join(row)} |" for name, row in cells.items()]
    return lines


def main() -> None:
    """Print the tables; with --write put them into docs/gate.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/gate.md")
    parser.add_argument("--quick", action="store_true", help="accuracy only")
    chosen = parser.parse_args()
    start = time.perf_counter()
    trials = ", ".join(f"{count:,} at {rows:,}" for rows, count in SCORE_TRIALS.items())
    head = f"How often each rule passes; {TRIALS:,} trials a cell, seed {SEED}, margin {MARGIN}:"
    text = [head, "", *accuracy_table()]
    if not chosen.quick:
        text += ["", f"A candidate exactly one margin worse, by metric, in trials: {trials} rows:", "", *scores_table()]
    print("\n".join(text), f"\n\nin {time.perf_counter() - start:.0f} s")
    if chosen.write:
        _write(repo_root() / "docs" / "gate.md", "\n".join(text))


def _write(page: Path, text: str) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
