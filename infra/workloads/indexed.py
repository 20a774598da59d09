"""What every Indexed Job of ours has in common: which failures are tried again, and for how long it is kept."""

from typing import Final

from pulumi_kubernetes.batch.v1 import (
    PodFailurePolicyArgs,
    PodFailurePolicyOnExitCodesRequirementArgs,
    PodFailurePolicyOnPodConditionsPatternArgs,
    PodFailurePolicyRuleArgs,
)

from ml.errors import ConfigError, DataError, GateError, UsageError

STARTED: Final = {"pulumi.com/waitFor": "jsonpath={.metadata.uid}"}
"""Annotations of a Job that may run for hours: `pulumi up` starts it and does not wait.

Not `skipAwait`: for a Job it skips the wait for its deletion as well. One whose arguments have changed is replaced
under its name, and the API server takes no other of that name until the first has gone.
"""
KEEP_S: Final = 7 * 24 * 3600
TRIES: Final = 5
"""Of one index: a pod that is killed again and again is no accident."""
# Asking again gives the same answer: wrong arguments, refused by evidence, data, configuration.
_PERMANENT: Final = sorted({kind.exit_code for kind in (UsageError, GateError, DataError, ConfigError)})


def failure_policy(container: str) -> PodFailurePolicyArgs:
    """Killed, drained or out of reach: again. Refused: the whole Job ends, and says why."""
    return PodFailurePolicyArgs(
        rules=[
            # A drained node is nobody's fault, so it costs none of the index's tries.
            PodFailurePolicyRuleArgs(
                action="Ignore",
                on_pod_conditions=[PodFailurePolicyOnPodConditionsPatternArgs(type="DisruptionTarget", status="True")],
            ),
            PodFailurePolicyRuleArgs(
                action="FailJob",
                on_exit_codes=PodFailurePolicyOnExitCodesRequirementArgs(
                    container_name=container, operator="In", values=_PERMANENT
                ),
            ),
        ],
    )
