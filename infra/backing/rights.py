"""Rights in the Kubernetes API: a Role and who has it. Few pods of ours have any (`policies.pods.TOKEN_ACCOUNTS`)."""

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from infra.backing.workloads import Identity

_RBAC: Final = "rbac.authorization.k8s.io"


def allow(of: Identity, service_account: pulumi.Input[str], rules: Sequence[PolicyRuleArgs]) -> RoleBinding:
    """Give rights to a ServiceAccount in its namespace; whoever needs them waits for what is returned."""
    role = Role(of.name, metadata=of.metadata(), rules=list(rules), opts=of.opts)
    return RoleBinding(
        of.name,
        metadata=of.metadata(),
        role_ref=RoleRefArgs(api_group=_RBAC, kind="Role", name=role.metadata.name),
        subjects=[SubjectArgs(kind="ServiceAccount", name=service_account, namespace=of.namespace)],
        opts=of.opts,
    )
