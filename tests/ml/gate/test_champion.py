"""The comparison with the champion under `sound`: three outcomes, by the numbers of the record alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.gate.check import Check
from ml.gate.reasons import Reason
from tests.ml.gate.evidence import FIELDS, judged

RANK = {"fail": 0, "inconclusive": 1, "pass": 2}


def accuracy(wins: int, losses: int) -> Check:
    def change(fields: dict[str, Any]) -> None:
        difference = (wins - losses) / 1000
        fields["metrics"]["accuracy"] = 0.8 + difference
        fields["champion"]["paired"]["accuracy"] |= {"wins": wins, "losses": losses, "difference": difference}

    return next(c for c in judged(change).checks if (c.rule, c.name) == ("champion", "accuracy"))


def log_loss(difference: float, error: float) -> Check:
    def change(fields: dict[str, Any]) -> None:
        fields["metrics"]["log_loss"] = 0.43 + difference
        entry = {"difference": fields["metrics"]["log_loss"] - 0.43, "standard_error": error}
        fields["champion"]["paired"]["log_loss"] |= entry

    return next(c for c in judged(change).checks if (c.rule, c.name) == ("champion", "log_loss"))


@pytest.mark.parametrize(
    ("wins", "losses", "reason"),
    [
        (22, 12, Reason.OK),
        (40, 40, Reason.UNPROVEN),
        (0, 0, Reason.OK),
        (10, 25, Reason.UNPROVEN),
        (10, 60, Reason.WORSE_THAN_CHAMPION),
    ],
)
def test_accuracy_has_three_outcomes(wins: int, losses: int, reason: Reason) -> None:
    assert accuracy(wins, losses).reason == reason


@pytest.mark.parametrize(
    ("difference", "error", "reason"),
    [
        (-0.01, 0.004, Reason.OK),
        (0.0, 0.004, Reason.UNPROVEN),
        (0.0, 0.002, Reason.OK),
        (0.05, 0.004, Reason.WORSE_THAN_CHAMPION),
    ],
)
def test_a_loss_is_judged_in_its_own_direction(difference: float, error: float, reason: Reason) -> None:
    assert log_loss(difference, error).reason == reason


def test_the_check_shows_the_worst_difference_still_possible_beside_the_margin() -> None:
    check = accuracy(22, 12)

    assert check.limit == -0.005
    assert -0.005 < check.value < 0.01


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 50), st.integers(0, 50))
def test_more_wins_or_fewer_losses_never_make_it_worse(wins: int, losses: int, more: int, fewer: int) -> None:
    before = RANK[accuracy(wins, losses).outcome]

    assert RANK[accuracy(wins + more, losses).outcome] >= before
    assert RANK[accuracy(wins, max(losses - fewer, 0)).outcome] >= before


@given(st.floats(-0.2, 0.2), st.floats(0, 0.1), st.floats(0, 0.05))
def test_a_smaller_loss_never_makes_it_worse(difference: float, less: float, error: float) -> None:
    assert RANK[log_loss(difference - less, error).outcome] >= RANK[log_loss(difference, error).outcome]


@given(st.integers(0, 100), st.integers(0, 100))
def test_what_is_not_proven_never_passes(wins: int, losses: int) -> None:
    def change(fields: dict[str, Any]) -> None:
        difference = (wins - losses) / 1000
        fields["metrics"]["accuracy"] = 0.8 + difference
        fields["champion"]["paired"]["accuracy"] |= {"wins": wins, "losses": losses, "difference": difference}

    judgement = judged(change)

    assert (judgement.verdict == "pass") == all(check.outcome == "pass" for check in judgement.checks)


def test_a_failure_needs_more_than_one_unlucky_metric_of_many() -> None:
    """Holm: with three metrics, one p of 0.03 declares nothing."""

    def change(fields: dict[str, Any]) -> None:
        fields["metrics"]["accuracy"] = 0.785
        fields["champion"]["paired"]["accuracy"] |= {"wins": 10, "losses": 25, "difference": -0.015}

    assert judged(change).verdict == "inconclusive"


def test_the_record_says_what_its_rows_could_have_told() -> None:
    power = judged().power["log_loss"]

    # (1.645 + 0.842) standard errors of 0.004
    assert power["detectable_drop"] == pytest.approx(0.00995, abs=1e-5)
    assert power["margin"] == 0.005
    assert 0.3 < power["pass_if_equal"] < 0.4


def test_a_relative_margin_is_a_share_of_the_champions_value() -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["gate"]["policy"]["comparison"]["relative_margins"] = {"log_loss": 0.1}

    assert judged(change).power["log_loss"]["margin"] == pytest.approx(0.043)


def test_without_a_champion_nothing_is_compared_and_the_mode_says_so() -> None:
    judgement = judged(lambda r: r.update(champion=None))

    assert (judgement.mode, judgement.verdict, judgement.power) == ("bootstrap", "pass", {})
    assert FIELDS["champion"] is not None
