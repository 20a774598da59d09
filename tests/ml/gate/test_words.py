"""What a comparison says to a reviewer."""

from typing import Any

import pytest

from ml.gate.words import lines


def record(metric: str, values: tuple[float, float], worst: float, limit: float) -> dict[str, Any]:
    ours, theirs = values
    check = {"rule": "champion", "name": metric, "value": worst, "limit": limit}
    return {
        "metrics": {metric: ours},
        "champion": {"metrics": {metric: theirs}, "paired": {metric: {"difference": ours - theirs}}},
        "gate": {"policy": {"comparison": {"alpha": 0.05}}, "checks": [check]},
    }


@pytest.mark.parametrize(
    ("metric", "values", "worst", "limit", "expected"),
    [
        (
            "accuracy",
            (0.912, 0.917),
            -0.011,
            -0.01,
            "accuracy 0.912, 0.0050 below the champion's 0.917; at worst 0.0110 below (95 %), allowed 0.0100 below",
        ),
        (
            "rmse",
            (1200.0, 1210.0),
            3.5,
            12.1,
            "rmse 1200, 10 below the champion's 1210; at worst 3.5 above (95 %), allowed 12.1 above",
        ),
        (
            "roc_auc",
            (0.8, 0.8),
            0.0,
            -0.005,
            "roc_auc 0.8, level with the champion's 0.8; at worst level (95 %), allowed 0.0050 below",
        ),
    ],
)
def test_a_comparison_names_difference_worst_case_and_what_is_allowed(
    metric: str, values: tuple[float, float], worst: float, limit: float, expected: str
) -> None:
    assert lines(record(metric, values, worst, limit))[0].words == expected


@pytest.mark.parametrize("broken", ["checks", "policy"])
def test_without_what_it_rests_on_nothing_is_said(broken: str) -> None:
    found = record("accuracy", (0.9, 0.9), 0.0, -0.005)
    found["gate"][broken] = None

    assert (lines(found)[0].proven, lines(found)[0].words) == ("", "")
