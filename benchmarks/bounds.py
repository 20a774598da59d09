"""How sure a simulated share is. Pure."""

import math


def upper(passed: int, trials: int) -> float:
    """One-sided 99 % upper confidence bound of a share (Wilson 1927)."""
    z, share = 2.326, passed / trials
    centre, half = share + z * z / (2 * trials), z * math.sqrt(share * (1 - share) / trials + z * z / 4 / trials**2)
    return (centre + half) / (1 + z * z / trials)
