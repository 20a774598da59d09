from typing import Any

import pytest

from ml.gate.judge import section
from tests.ml.gate.evidence import FIELDS, judged

WAIVER = {"rule": "scan", "of": "static", "owner": "me", "reason": "closed network", "expires": "2013-08-01"}


def record(*waivers: dict[str, Any]) -> dict[str, Any]:
    policy = {**FIELDS["gate"]["policy"], "waivers": list(waivers)}

    def change(fields: dict[str, Any]) -> None:
        fields["scans"]["static"]["verdict"] = "incomplete"
        fields["gate"]["policy"] = policy

    return {**FIELDS, "gate": section(judged(change), policy)}


def test_a_waiver_accepts_an_incomplete_scan_whichever_stack_it_names() -> None:
    """Whether a stack accepts it is asked of the stack, by `ml.gate.accepted`; the record knows no stack."""
    assert record(WAIVER)["gate"]["verdict"] == "pass"
    assert record({**WAIVER, "stacks": ["staging"]})["gate"]["verdict"] == "pass"


@pytest.mark.parametrize("change", [{"expires": "2013-07-31"}, {"of": "dynamic"}, {"rule": "drift"}])
def test_a_waiver_of_something_else_or_of_yesterday_accepts_nothing(change: dict[str, str]) -> None:
    found = record({**WAIVER, **change})

    assert found["gate"]["verdict"] == "inconclusive"


def test_nobody_can_waive_a_worse_model() -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["metrics"]["accuracy"] = 0.5
        fields["gate"]["policy"]["waivers"] = [{**WAIVER, "rule": "floor", "of": "accuracy"}]

    assert judged(change).verdict == "fail"


def test_a_drifted_feature_can_be_waived() -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["drift"]["features"]["distance"] |= {"d": 0.5, "p": 0.0}
        fields["gate"]["policy"]["waivers"] = [{**WAIVER, "rule": "drift", "of": "distance"}]

    assert judged(change).verdict == "pass"
