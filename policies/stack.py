"""Lets the rules know which stack they judge. Not a policy.

The engine tells a pack its stack and configuration when it connects; the SDK (1.21) keeps only the stack's tags. What
it drops is put where engines before told it: into the environment. Without it a rule judges as for production.
"""

import json
import os
from typing import Any

from pulumi_policy import policy as sdk


def listen() -> None:
    """From now on keep what the engine says of the stack. Called once, before the pack is served."""
    servicer: Any = sdk._PolicyAnalyzerServicer  # noqa: SLF001  (the SDK has no hook of its own for this)
    configure_stack = servicer.ConfigureStack

    def keep(self: Any, request: Any, context: Any) -> Any:
        os.environ["PULUMI_STACK"] = request.stack
        os.environ["PULUMI_CONFIG"] = json.dumps(dict(request.config))
        return configure_stack(self, request, context)

    servicer.ConfigureStack = keep
