"""How often the gate's test of two paired shares passes and fails, over every likely pair of counts. Pure."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from ml.statistics.shares import p_inferior, p_no_worse


def exact(rows: int, discordant: float, change: float, margin: float, alpha: float) -> tuple[float, float]:
    """Chance to pass and chance to fail; no simulation, so no error of one.

    Args:
        rows: That both models judge.
        discordant: Share of rows that only one of them has right.
        change: The candidate's share of right rows less the champion's, true.
        margin: How much worse it may be.
        alpha: Of the test.
    """
    win, loss = (discordant + change) / 2, (discordant - change) / 2
    columns, lines = _likely(rows, loss), _likely(rows, win)
    passes = fails = 0.0
    for losses in map(int, columns):
        # More wins never make it worse, so the first number of wins that passes decides, and the last that fails.
        passing = np.searchsorted([p_inferior(rows, int(w), losses, margin) <= alpha for w in lines], True)
        failing = np.searchsorted([p_no_worse(rows, int(w), losses, margin) > alpha for w in lines], True)
        chances = binom.pmf(lines, rows - losses, win / (1 - loss))
        chance = binom.pmf(losses, rows, loss)
        passes += float(chance * chances[passing:].sum())
        fails += float(chance * chances[:failing].sum())
    return passes, fails


def _likely(rows: int, share: float) -> NDArray[np.int64]:
    """Counts that are not next to impossible."""
    return np.arange(int(binom.ppf(1e-9, rows, share)), int(binom.ppf(1 - 1e-9, rows, share)) + 1)
