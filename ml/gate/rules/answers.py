"""How many of the frozen requests the candidate answers otherwise than the champion. Pure.

Another answer is no evidence of harm: the comparison on labels judges that. But whoever uses the answers notices when
many of them change at once, so beyond the limit the verdict is inconclusive: nothing is promoted until a person has
looked and, if the change is meant, raised the limit in the problem's `gate.toml`, which is reviewed. Failing instead
would call a better model bad; passing would hide the change.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.metrics import is_count, is_number, mapping
from ml.gate.reasons import Reason


def same_answers(champion: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Check]:
    """The share of requests that get another answer."""
    found, limit = champion.get("prediction_diff"), policy["prediction_diff"]["max_flip_rate"]
    rate = mapping(found).get("flip_rate")
    yield check("flip_rate", "answers", rate, limit, _reason(found, rate, limit))


def _reason(found: object, rate: object, limit: float) -> Reason:
    if found is None:
        return Reason.ANSWERS_MISSING
    if not is_number(rate) or not 0 <= rate <= 1 or not _has_rows(found):
        return Reason.ANSWERS_UNUSABLE
    return Reason.OK if rate <= limit else Reason.ANSWERS_MOVED


def _has_rows(found: object) -> bool:
    rows = mapping(found).get("rows")
    return is_count(rows) and rows > 0
