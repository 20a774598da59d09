"""Features whose distribution moved between the training and the judging rows. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.check import Check, check
from ml.gate.metrics import is_number
from ml.gate.reasons import Reason
from ml.statistics.multiplicity import benjamini_hochberg


def drifted(drift: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Check]:
    """Every gated feature: beyond chance (adjusted over the features) and by at least the effect floor."""
    features = drift.get("features", {})
    gated = {name: result for name, result in sorted(features.items()) if result.get("role") == "gate"}
    if not gated and policy["required"]:
        yield check("drift", "drift", 0, 1, Reason.DRIFT_UNMEASURED)
    usable = {name: result for name, result in gated.items() if _is_usable(result)}
    tested = {name: result for name, result in usable.items() if _smaller(result) >= policy["min_rows"]}
    adjusted = dict(zip(tested, benjamini_hochberg([result["p"] for result in tested.values()]), strict=True))
    for name, result in gated.items():
        if name not in usable:
            yield check(name, "drift", result.get("d"), policy["min_d"], Reason.DRIFT_UNUSABLE)
        elif name not in tested:
            yield check(name, "drift", _smaller(result), policy["min_rows"], Reason.TOO_FEW_ROWS)
        else:
            moved = result["d"] >= policy["min_d"] and adjusted[name] <= policy["alpha"]
            yield check(name, "drift", result["d"], policy["min_d"], Reason.DRIFTED if moved else Reason.OK)


def _smaller(result: Mapping[str, Any]) -> int:
    return int(min(result["n_reference"], result["n_current"]))


def _is_usable(result: Mapping[str, Any]) -> bool:
    counts = [result.get("n_reference"), result.get("n_current")]
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        return False
    if min(result["n_reference"], result["n_current"]) == 0:
        return True  # no rows: too few to decide, and there is no D to look at
    d, p = result.get("d"), result.get("p")
    return is_number(d) and is_number(p) and 0 <= d <= 1 and 0 <= p <= 1
