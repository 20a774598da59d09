"""`python -m benchmarks.gate`: how often the gate's comparison is wrong, beside rules that others use.

Simulated pairs of models on the same rows, with stated seeds. The decisions are made by the gate's own functions from
the numbers a record holds. With `--write` the tables go into docs/gate.md.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import gate_scores, gate_slices
from benchmarks.bounds import upper
from benchmarks.gate_exact import exact
from ml.statistics.shares import p_inferior
from toolchain.paths import repo_root

SEED = 20130701
ALPHA, MARGIN = 0.05, 0.005
SIZES = (100, 500, 2_000, 10_000)
TRIALS = 100_000
TRUTHS = {"one margin worse": -MARGIN, "equal": 0.0, "1 point worse": -0.01, "1 point better": 0.01}
DISCORDANT = (0.01, 0.08, 0.2)  # share of rows that only one of the two models has right
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


def accuracy_table() -> list[str]:
    """How often each rule passes, by true difference, rows and share of discordant rows."""
    others = [name for name in RULES if name != "sound"]
    heads = ["true difference", "rows", "rows that differ", "sound (99 % bound)", "exactly", "fails, exactly", *others]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
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
                known = " | ".join(f"{100 * share:.2f} %" for share in exact(rows, discordant, change, MARGIN, ALPHA))
                lines.append(
                    f"| {name} | {rows:,} | {100 * discordant:.0f} % | {cell} | {known} | {' | '.join(cells)} |"
                )
    return lines


def main() -> None:
    """Print the tables; with --write put them into docs/gate.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/gate.md")
    parser.add_argument("--quick", action="store_true", help="the first table only")
    chosen = parser.parse_args()
    start = time.perf_counter()
    head = f"How often each rule passes; {TRIALS:,} trials a cell, seed {SEED}, margin {MARGIN}:"
    text = [head, "", *accuracy_table()]
    if not chosen.quick:
        text += ["", *gate_scores.tables(SEED), "", *gate_slices.table(SEED)]
    print("\n".join(text), f"\n\nin {time.perf_counter() - start:.0f} s")
    if chosen.write:
        _write(repo_root() / "docs" / "gate.md", "\n".join(text))


def _write(page: Path, text: str) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
