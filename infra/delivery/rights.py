"""What the analysis may do in the cluster: read two Deployments, move one Service, add to the release ledger."""

from typing import Final

import pulumi
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from infra.backing.workloads import Identity
from infra.names import LIVE_SERVICE, SLOTS, slot_name

_RBAC: Final = "rbac.authorization.k8s.io"


def may_take_back(of: Identity, service_account: pulumi.Input[str]) -> RoleBinding:
    """Give the rights to a ServiceAccount; the resource that the Job must wait for."""
    role = Role(
        of.name,
        metadata=of.metadata(),
        rules=[
            PolicyRuleArgs(
                api_groups=[""], resources=["services"], resource_names=[LIVE_SERVICE], verbs=["get", "patch"]
            ),
            PolicyRuleArgs(
                api_groups=["apps"],
                resources=["deployments"],
                resource_names=[slot_name(slot) for slot in SLOTS],
                verbs=["get"],
            ),
            # A name cannot be asked for when creating or listing; what is created cannot be changed, by these rights.
            PolicyRuleArgs(api_groups=[""], resources=["configmaps"], verbs=["list", "create"]),
        ],
        opts=of.opts,
    )
    return RoleBinding(
        of.name,
        metadata=of.metadata(),
        role_ref=RoleRefArgs(api_group=_RBAC, kind="Role", name=role.metadata.name),
        subjects=[SubjectArgs(kind="ServiceAccount", name=service_account, namespace=of.namespace)],
        opts=of.opts,
    )
