"""A row of the fault matrix: what was broken, how one knows that it was, what the clients saw, and whether it held.

Each writes `.build/drills/faults/row-NN.json`, whatever becomes of it; `python -m tests.e2e.matrix` prints them all.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.e2e.clients import Seen
from tests.e2e.machine import ROOT

FOLDER: Final = ROOT / ".build" / "drills" / "faults"
RUNS: Final = int(os.environ.get("MLP_FAULTS_RUNS", "20"))
"""How often a fault that depends on its moment is repeated; `make faults-smoke` takes fewer."""


@dataclass(kw_only=True)
class Row:
    """One row while it runs."""

    number: int
    fault: str
    controls: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def control(self, what: str, happened: bool, found: object = "") -> None:  # noqa: FBT001  (reads like a sentence)
        """Say how one knows that the fault was there; a row whose fault was not there has shown nothing."""
        self.controls[what] = str(found) or str(happened)
        assert happened, f"row {self.number}, control: {what}; found {found!r}"

    def did(self, what: str) -> None:
        """Write down when something was done, so that a call that failed can be laid beside it."""
        self.facts.setdefault("did", []).append([round(time.time(), 3), what])

    def saw(self, seen: Seen) -> None:
        """Write down what the clients saw, with the bound that holds when none of n failed (the rule of three)."""
        self.facts |= {
            "calls": seen.total,
            "failures": len(seen.failures),
            "first_failures": [list(one) for one in seen.failures[:3]],
            "last_failure": list(seen.failures[-1]) if seen.failures else None,
            "upper_bound_95": None if seen.failures or not seen.total else 3 / seen.total,
            "longest_answer_s": round(seen.longest_s, 3),
        }

    def lost_nothing(self, seen: Seen, least: int = 100) -> None:
        """No call of the clients failed, and there were enough of them to tell."""
        self.saw(seen)
        self.control(f"clients really called, {least} times or more", seen.total >= least, seen.total)
        assert not seen.failures, f"row {self.number}: {len(seen.failures)} of {seen.total}: {seen.failures[:3]}"


@contextmanager
def row(number: int, fault: str) -> Iterator[Row]:
    """Run one row of the matrix and keep its result."""
    one, started = Row(number=number, fault=fault), time.monotonic()
    verdict = "broken"
    try:
        yield one
        verdict = "held"
    finally:
        FOLDER.mkdir(parents=True, exist_ok=True)
        result = {
            "row": number,
            "fault": fault,
            "verdict": verdict,
            "seconds": round(time.monotonic() - started, 1),
            "controls": one.controls,
            **one.facts,
        }
        (FOLDER / f"row-{number:02d}.json").write_text(json.dumps(result, indent=2))
        print(f"\n{json.dumps(result)}")
