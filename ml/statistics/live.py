"""Live counts of both slots, looked at several times: is the candidate failing more than it may? Pure, stdlib only.

Counts are pooled over the whole window, not voted on interval by interval: with few requests a vote either rolls back
healthy releases or misses bad ones. Each look spends a part of alpha, so that looking often does not mean finding
something by chance; tests are exact, so that few requests do not either.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

Outcome = Literal["pass", "fail", "inconclusive"]
_MOST = 2**53


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the candidate may do.

    Attributes:
        share: Of requests that may fail, in (0, 1).
        ratio: How many times the champion's share of failures is still allowed, above 1.
        looks: How often the counts are judged at most, at least 1.
        alpha: Chance over all looks of one question that the answer is wrong, in (0, 0.5).
    """

    share: float = 0.01
    ratio: float = 2.0
    looks: int = 10
    alpha: float = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """The answer of one look; `reason` is a code."""

    outcome: Outcome
    reason: str


def judge(candidate: tuple[Any, Any], champion: tuple[Any, Any], look: int, limits: Limits) -> Look:
    """Judge pooled counts.

    Args:
        candidate: Requests and failures of the candidate's slot since the switch.
        champion: The same of the champion's slot in a window of its own; (0, 0) where there is none.
        look: Which look this is, from 1 to `limits.looks`.
        limits: What is allowed.

    Returns:
        fail where the candidate fails more than `share`, or more than `ratio` times the champion, beyond chance; pass
        where it is proven to fail less than `share`; inconclusive in between. Counts that are no counts fail.
    """
    for counts in (candidate, champion):
        if (reason := _flaw(counts)) is not None:
            return Look(outcome="fail", reason=reason)
    if not 1 <= look <= limits.looks:
        return Look(outcome="fail", reason="live-look-out-of-range")
    if candidate[0] == 0:
        return Look(outcome="inconclusive", reason="live-no-requests")
    return _decide(candidate, champion, alpha_of(look, limits), limits)


def _decide(candidate: tuple[int, int], champion: tuple[int, int], spent: float, limits: Limits) -> Look:
    requests, failures = candidate
    if at_least(failures, requests, limits.share) <= spent / 2.0:  # two ways to fail share one alpha
        return Look(outcome="fail", reason="live-above-limit")
    if champion[0] and _p_worse(candidate, champion, limits.ratio) <= spent / 2.0:
        return Look(outcome="fail", reason="live-worse-than-champion")
    if at_most(failures, requests, limits.share) <= spent:
        return Look(outcome="pass", reason="ok")
    return Look(outcome="inconclusive", reason="live-too-few-requests")


def alpha_of(look: int, limits: Limits) -> float:
    """What this look may spend; over all looks the sum is alpha, so the bound holds however the looks depend.

    Source: Lan and DeMets (1983), the spending function of the type of O'Brien and Fleming: little early, most at last.
    """

    def spent(share: float) -> float:
        if share <= 0.0:
            return 0.0
        # erfc, because 2 - 2 cdf is nought for the first looks, and then nothing could ever fail there
        return math.erfc(NormalDist().inv_cdf(1.0 - limits.alpha / 2.0) / math.sqrt(2.0 * share))

    return spent(look / limits.looks) - spent((look - 1) / limits.looks)


def at_least(count: int, total: int, share: float) -> float:
    """Exact chance of `count` or more among `total` that each happen with chance `share`."""
    return 1.0 if count <= 0 else _tail(range(count, total + 1), total, share)


def at_most(count: int, total: int, share: float) -> float:
    """Exact chance of `count` or fewer."""
    return 1.0 if count >= total else _tail(range(count, -1, -1), total, share)


def _p_worse(candidate: tuple[int, int], champion: tuple[int, int], ratio: float) -> float:
    """Exact given the failures of both together: Przyborowski and Wilenski (1940)."""
    weight = ratio * candidate[0]
    return at_least(candidate[1], candidate[1] + champion[1], weight / (weight + champion[0]))


def _tail(counts: range, total: int, share: float) -> float:
    """Sum of binomial chances away from the middle, stopped where the rest no longer matters."""
    found = 0.0
    log_yes, log_no = math.log(share), math.log1p(-share)
    for count in counts:
        log_ways = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
        chance = math.exp(log_ways + count * log_yes + (total - count) * log_no)
        found += chance
        beyond = count > total * share if counts.step > 0 else count < total * share
        if beyond and chance < 1e-18 * max(found, 1e-300):
            break
    return min(found, 1.0)


def _flaw(counts: tuple[Any, Any]) -> str | None:
    for count in counts:
        if isinstance(count, bool) or not isinstance(count, int):
            return "live-counts-not-whole"
        if not 0 <= count < _MOST:
            return "live-counts-out-of-range"
    return "live-more-failures-than-requests" if counts[1] > counts[0] else None
