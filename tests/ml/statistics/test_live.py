import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from ml.statistics.live import Limits, Look, alpha_of, at_least, at_most, judge

LIMITS = Limits()
COUNTS = st.integers(0, 3000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@pytest.mark.parametrize("looks", [1, 5, 10, 60])
def test_the_looks_together_spend_alpha(looks: int) -> None:
    limits = Limits(looks=looks)
    spent = [alpha_of(look, limits) for look in range(1, looks + 1)]

    assert sum(spent) == pytest.approx(0.05)
    assert all(part >= 0 for part in spent)


@given(COUNTS, st.floats(0.001, 0.5))
def test_tails_are_exact(counts: tuple[int, int], share: float) -> None:
    total, count = counts

    assert at_least(count, total, share) == pytest.approx(binom.sf(count - 1, total, share), rel=1e-6, abs=1e-12)
    assert at_most(count, total, share) == pytest.approx(binom.cdf(count, total, share), rel=1e-6, abs=1e-12)


def wrong(share: float, outcome: str, champion_share: float | None = None) -> float:
    """How often ten looks at 60 requests each ever end in `outcome`."""
    random = np.random.default_rng(7)
    found = 0
    for _ in range(400):
        failures = np.cumsum(random.binomial(60, share, 10))
        others = np.cumsum(random.binomial(60, champion_share, 10)) if champion_share is not None else [0] * 10
        for look in range(1, 11):
            champion = (60 * look, int(others[look - 1])) if champion_share is not None else (0, 0)
            answer = judge((60 * look, int(failures[look - 1])), champion, look, LIMITS).outcome
            if answer != "inconclusive":
                found += answer == outcome
                break
    return found / 400


def test_a_release_at_its_limit_is_rarely_rolled_back_and_rarely_passed() -> None:
    # 400 trials know a share of 5 % to within 1.1 % (one sigma).
    assert wrong(0.01, "fail") <= 0.07
    assert wrong(0.01, "pass") <= 0.07


def test_a_bad_release_is_found_and_a_good_one_kept() -> None:
    assert wrong(0.05, "fail") > 0.9
    assert wrong(0.0005, "fail") < 0.02


def test_a_release_far_worse_than_the_champion_is_found_below_the_limit() -> None:
    many = judge((20_000, 100), (20_000, 10), 10, LIMITS)

    assert many == Look(outcome="fail", reason="live-worse-than-champion")


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ((-1, 0), "live-counts-out-of-range"),
        ((10, -1), "live-counts-out-of-range"),
        ((10.0, 1), "live-counts-not-whole"),
        ((True, 0), "live-counts-not-whole"),
        ((math.nan, 0), "live-counts-not-whole"),
        (("10", 0), "live-counts-not-whole"),
        ((10**400, 0), "live-counts-out-of-range"),
        ((10, 11), "live-more-failures-than-requests"),
    ],
)
def test_counts_that_are_no_counts_fail_with_a_reason_of_their_own(candidate: Any, reason: str) -> None:
    assert judge(candidate, (0, 0), 1, LIMITS) == Look(outcome="fail", reason=reason)
    assert judge((10, 0), candidate, 1, LIMITS).reason == reason


def test_no_requests_are_inconclusive_and_an_unplanned_look_fails() -> None:
    assert judge((0, 0), (0, 0), 1, LIMITS).outcome == "inconclusive"
    assert judge((10, 0), (0, 0), 11, LIMITS).reason == "live-look-out-of-range"


@given(COUNTS, st.integers(1, 10), st.integers(0, 50))
def test_more_failures_never_help(counts: tuple[int, int], look: int, more: int) -> None:
    rank = {"fail": 0, "inconclusive": 1, "pass": 2}
    requests, failures = counts
    worse = min(failures + more, requests)

    before = rank[judge((requests, failures), (1000, 5), look, LIMITS).outcome]
    assert rank[judge((requests, worse), (1000, 5), look, LIMITS).outcome] <= before
