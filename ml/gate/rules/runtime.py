"""The exported model must be small and quick enough to be served. Pure.

The figures are facts of the machine that made the release and stand in its record, so the verdict never changes with
the machine that reads it; the limits are generous for the same reason.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.metrics import is_number, mapping
from ml.gate.reasons import Reason

_LIMITS = {
    "p99_ms_1_row": "max_p99_ms_1_row",
    "bytes": "max_model_bytes",
    "peak_rss_mib": "max_peak_rss_mib",
}


def quick_enough(evaluation: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Check]:
    """Size, the slowest of a hundred single predictions, and memory."""
    rule = policy["runtime"]
    runtime = mapping(evaluation.get("runtime"))
    for name, key in sorted(_LIMITS.items()):
        value, limit = runtime.get(name), rule[key]
        yield check(name, "runtime", value, limit, _reason(value, limit))


def _reason(value: object, limit: float) -> Reason:
    if value is None:
        return Reason.RUNTIME_MISSING
    if not is_number(value) or value < 0:
        return Reason.RUNTIME_UNUSABLE
    return Reason.OK if value <= limit else Reason.BEYOND_RUNTIME
