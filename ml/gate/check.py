"""One rule of the gate and how it ended. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ml.gate.metrics import plain
from ml.gate.reasons import Reason

Outcome = Literal["pass", "fail", "inconclusive"]
Rule = Literal["floor", "champion", "rows", "data", "drift", "scan"]


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
    """A check whose outcome follows from its reason; a reason that nothing is said about is a failure."""
    return Check(name=name, rule=rule, value=value, limit=limit, outcome=_OUTCOMES.get(reason, "fail"), reason=reason)


_OUTCOMES: Mapping[Reason, Outcome] = {
    Reason.OK: "pass",
    Reason.SCAN_EXCEPTED: "pass",
    Reason.TOO_FEW_ROWS: "inconclusive",
    Reason.DRIFT_UNMEASURED: "inconclusive",
    Reason.SCAN_INCOMPLETE: "inconclusive",
    Reason.SCAN_SKIPPED: "inconclusive",
    Reason.SCAN_NO_ADVISORIES: "inconclusive",
    Reason.SCAN_OLD_ADVISORIES: "inconclusive",
}
