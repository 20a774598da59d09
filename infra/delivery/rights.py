"""What the analysis may do in the cluster: read two Deployments, move one Service, add to the release ledger."""

from typing import Final

from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs

from infra.names import LIVE_SERVICE, SLOTS, slot_name

MAY_TAKE_BACK: Final = (
    PolicyRuleArgs(api_groups=[""], resources=["services"], resource_names=[LIVE_SERVICE], verbs=["get", "patch"]),
    PolicyRuleArgs(
        api_groups=["apps"],
        resources=["deployments"],
        resource_names=[slot_name(slot) for slot in SLOTS],
        verbs=["get"],
    ),
    # A name cannot be asked for when creating or listing; what is created cannot be changed, by these rights.
    PolicyRuleArgs(api_groups=[""], resources=["configmaps"], verbs=["list", "create"]),
)
