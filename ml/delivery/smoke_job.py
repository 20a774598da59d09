"""Runs a smoke test against one slot and says what came of it, as one line of JSON.

The slot's own Service is called: it selects the slot's pods as the preview Service does, and goes on doing so when the
preview Service shows the other slot.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from ml.delivery.caller import Caller
from ml.delivery.smoke import Call, Limits, Reply, calls, flaws, identity_flaws
from ml.errors import GateError

NEW_SERVICE_S: Final = 20.0
"""How long a Service that was just made may stay unknown to the node."""


def smoke(caller: Caller, directory: Path, limits: Limits, patience_s: float = NEW_SERVICE_S) -> dict[str, Any]:
    """Make every call and judge the answers.

    Args:
        caller: Of the slot's Service.
        directory: Holds `record.json` and `serving.json`, as the repository has them.
        limits: How fast the slot must be.
        patience_s: How long to wait for anything to answer at all.

    Returns:
        What was done, for the log.

    Raises:
        GateError: `ML-SMOKE-001`, with everything that is wrong. The release must not take traffic.
    """
    record = json.loads((directory / "record.json").read_text(encoding="utf-8"))
    serving = json.loads((directory / "serving.json").read_text(encoding="utf-8"))
    found = identity_flaws(caller.reach(patience_s), caller.text("/metrics"), record)
    made = _made(caller, calls(serving, limits))
    found += flaws(serving, record["release"], made, limits)
    if found:
        listed = "".join(f"\n  - {flaw}" for flaw in found)
        message = f"release {record['release']} failed its smoke test, so no traffic goes to it:{listed}"
        raise GateError(
            "ML-SMOKE-001", message, "docs/release-walk.md#smoke; then mlp release stage ID with a release that passes"
        )
    slowest = max(reply.seconds for call, reply in made if call.golden is not None)
    return {"smoke": "pass", "release": record["release"], "calls": len(made), "slowest_ms": round(slowest * 1e3, 1)}


def _made(caller: Caller, planned: Iterable[Call]) -> list[tuple[Call, Reply]]:
    return [(call, caller.predict(call)) for call in planned]
