"""Two models on the same rows, where a row is right or wrong: tests of the difference of two shares.

Pure, standard library only: the gate decides by these from counts in a record.
"""

import math
from statistics import NormalDist

_NORMAL = NormalDist()
_STEP = 0.5  # continuity correction: the difference of two counts moves in whole steps


def p_inferior(rows: int, wins: int, losses: int, margin: float) -> float:
    """How surprising the counts are if the candidate is worse by at least the margin; small means non-inferior.

    Args:
        rows: That both models judged, at least 1.
        wins: Rows that the candidate has right and the champion wrong.
        losses: The reverse; `wins + losses <= rows`.
        margin: In (0, 1).

    Source: score test with the variance under the hypothesis, Tango (1998) and Nam (1997). Its normal approximation
    is too optimistic for few discordant rows; with the continuity correction its exact size stays below alpha
    (enumerated in `benchmarks.gate_exact` and in the tests).
    """
    return _NORMAL.cdf(-_score(rows, wins, losses, margin, -_STEP))


def p_no_worse(rows: int, wins: int, losses: int, margin: float) -> float:
    """How surprising the counts are if the candidate is worse by at most the margin; small means worse than that."""
    return _NORMAL.cdf(_score(rows, wins, losses, margin, _STEP))


def lower_bound(rows: int, wins: int, losses: int, alpha: float) -> float:
    """The largest drop that the counts do not rule out at `alpha`, as a difference in [-1, 1]; by bisection."""
    z = _NORMAL.inv_cdf(1.0 - alpha)
    low, high = -1.0, (wins - losses) / rows
    for _ in range(60):
        middle = (low + high) / 2.0
        ruled_out = _score(rows, wins, losses, -middle, -_STEP) >= z
        low, high = (middle, high) if ruled_out else (low, middle)
    return low


def _score(rows: int, wins: int, losses: int, margin: float, step: float) -> float:
    """Standardised net wins under a drop of exactly `margin`; `margin` below 0 is a gain."""
    lost = _restricted_losses(rows, wins, losses, margin)
    variance = rows * (2.0 * lost - margin - margin * margin)
    return (wins - losses + step + rows * margin) / math.sqrt(max(variance, 1e-300))


def _restricted_losses(rows: int, wins: int, losses: int, margin: float) -> float:
    """Likeliest share of losses when the share of wins is smaller by exactly `margin` (Tango 1998, equation 6)."""
    a = 2.0 * rows
    b = -wins - losses - (2.0 * rows - wins + losses) * margin
    c = losses * margin * (1.0 + margin)
    root = math.sqrt(max(b * b - 4.0 * a * c, 0.0))
    return (root - b) / (2.0 * a)
