"""One rule of the gate and how it ended. Pure."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ml.gate.metrics import plain
from ml.gate.reasons import Outcome, Reason, outcome_of

Rule = Literal[
    "policy",
    "floor",
    "model",
    "chance",
    "champion",
    "slice",
    "slice-champion",
    "answers",
    "runtime",
    "rows",
    "data",
    "drift",
    "scan",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One rule and how it ended. `limit` is the number that `value` was held against."""

    name: str
    rule: Rule
    value: Any
    limit: Any
    outcome: Outcome
    reason: Reason

    def to_json(self) -> dict[str, Any]:
        """The check as it stands in a record."""
        return {**asdict(self), "value": plain(self.value), "limit": plain(self.limit), "reason": str(self.reason)}


def check(name: str, rule: Rule, value: Any, limit: Any, reason: Reason) -> Check:
    """A check whose outcome follows from its reason."""
    shown = value if value is None or isinstance(value, str | int | float) else type(value).__name__
    return Check(name=name, rule=rule, value=shown, limit=limit, outcome=outcome_of(reason), reason=reason)
