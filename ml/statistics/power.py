"""What a test set can tell at all. Pure, standard library only."""

from statistics import NormalDist

_NORMAL = NormalDist()


def detectable_drop(standard_error: float, alpha: float, power: float) -> float:
    """The smallest true drop that a one-sided test at `alpha` finds with this power, in the metric's own unit.

    The same number is the smallest margin with which an equal model passes with this power.

    Source: the sum of the two normal quantiles times the standard error (Julious 2004, for one-sided comparisons).
    """
    return (_NORMAL.inv_cdf(1.0 - alpha) + _NORMAL.inv_cdf(power)) * standard_error


def pass_if_equal(standard_error: float, alpha: float, margin: float) -> float:
    """How often a model that is exactly as good is found non-inferior with this margin; 1 without any spread."""
    if standard_error <= 0.0:
        return 1.0
    return _NORMAL.cdf(margin / standard_error - _NORMAL.inv_cdf(1.0 - alpha))
