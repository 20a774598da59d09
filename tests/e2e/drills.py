"""What the drills share: where a result goes, how times are summed up, and the command that they all run."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.machine import ROOT

UP = ("pulumi", "up", "--yes", "--skip-preview", "--stack", "staging")


def keep(name: str, result: Mapping[str, Any]) -> None:
    """Write and print a drill's result."""
    file = ROOT / ".build" / "drills" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=2))
    print(f"\n{json.dumps(result)}")


def quantiles(values: Sequence[float]) -> Mapping[str, float]:
    """Of one or more seconds."""
    ordered = sorted(values)
    return {
        "runs": len(ordered),
        "p50": round(statistics.median(ordered), 2),
        "p95": round(ordered[math.ceil(0.95 * len(ordered)) - 1], 2),
        "max": round(ordered[-1], 2),
    }
