"""Evidence that passes, to be broken one thing at a time."""

import copy
from collections.abc import Callable
from typing import Any

from ml.gate.judge import Judgement, evidence_of, judge
from ml.release.example import example

FIELDS: dict[str, Any] = example()
FIELDS["metrics"]["roc_auc"] = 0.85
FIELDS["evaluation"]["intervals"]["roc_auc"] = {"low": 0.82, "high": 0.88, "standard_error": 0.015}
FIELDS["champion"]["metrics"]["roc_auc"] = 0.84
FIELDS["champion"]["paired"]["roc_auc"] = {
    "method": "paired influence",
    "n": 1000,
    "difference": 0.85 - 0.84,
    "standard_error": 0.004,
    "step": 0.0008,
    "support": 300.0,
}


def judged(change: Callable[[dict[str, Any]], Any] | None = None) -> Judgement:
    """The gate's answer after `change` edited the record in place."""
    fields = copy.deepcopy(FIELDS)
    if change is not None:
        change(fields)
    return judge(evidence_of(fields), fields["gate"]["policy"])


def reasons(judgement: Judgement) -> set[str]:
    """Why the checks that are not simply passed ended as they did."""
    return {str(check.reason) for check in judgement.checks if check.reason != "ok"}
