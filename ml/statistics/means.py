"""Two models on the same rows, for a metric that is no plain share: tests of a difference with a standard error.

Pure, standard library only: the gate decides by these from numbers in a record. Everything is in the direction in
which more is better; whoever calls turns a loss around.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Candidate minus champion, more is better.

    Attributes:
        value: Of the metric, in its own unit.
        standard_error: Of `value`, at least 0.
        step: The most that a single row moves `value`, at least 0.
        support: Rows behind it: of the class that a share is about, else all; at least 1.
    """

    value: float
    standard_error: float
    step: float
    support: float


def lower_bound(difference: Difference, alpha: float) -> float:
    """The largest drop that the rows do not rule out at `alpha`, as a difference.

    Student's quantile alone is too optimistic where few rows decide, for the rows that move the difference most are
    the ones that a sample may lack. As for plain shares, half of such a step is taken off, and the variance is at
    least what the drop itself would need: a drop of m in steps of at most s has a variance of up to m times s.
    `benchmarks.gate` shows what that gives.
    """
    t, centre = _student(1.0 - alpha, difference), difference.value - difference.step / 2.0
    drop = t * difference.standard_error - centre
    if drop * difference.step > difference.standard_error**2:
        # The drop that solves drop + centre = t * sqrt(drop * step).
        root = t * math.sqrt(difference.step)
        drop = ((root + math.sqrt(max(root * root - 4.0 * centre, 0.0))) / 2.0) ** 2
    return -drop


def p_no_worse(difference: Difference, margin: float) -> float:
    """How surprising the difference is if the candidate is worse by at most `margin`; small means worse than that."""
    distance = difference.value + difference.step / 2.0 + margin
    error = max(difference.standard_error, math.sqrt(margin * difference.step))
    if error <= 0.0:
        return 0.0 if distance < 0.0 else 1.0
    t, degrees = distance / error, _degrees(difference)
    # Student's t to a normal deviate: Abramowitz and Stegun 26.7.8.
    return _NORMAL.cdf(t * (1.0 - 1.0 / (4.0 * degrees)) / math.sqrt(1.0 + t * t / (2.0 * degrees)))


def _student(level: float, difference: Difference) -> float:
    """The quantile of Student's t to two terms: Abramowitz and Stegun 26.7.5."""
    z, degrees = _NORMAL.inv_cdf(level), _degrees(difference)
    first = (z**3 + z) / 4.0
    second = (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0
    return z + first / degrees + second / degrees**2


def _degrees(difference: Difference) -> float:
    return max(difference.support - 1.0, 1.0)
