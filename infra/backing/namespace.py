"""The namespace of a stack and the walls around it: Pod Security, quota, default limits, network, accounts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import (
    LimitRange,
    LimitRangeItemArgs,
    LimitRangeSpecArgs,
    ResourceQuota,
    ResourceQuotaSpecArgs,
    ServiceAccount,
)
from pulumi_kubernetes.core.v1 import Namespace as KubernetesNamespace
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra import names
from infra.backing.flows import flows_of
from infra.backing.network import NetworkArgs, policies

POD_SECURITY_VERSION: Final = "v1.34"
"""Pinned, so that a cluster upgrade does not change what is admitted before we have tried it."""

ACCOUNTS: Final[Mapping[str, str]] = {
    "alertmanager": "monitoring",
    names.ANALYSIS: "delivery",
    names.BATCH: "batch",
    "drift-check": "drift",
    "kube-state-metrics": "monitoring",
    "mlflow": "tracking",
    "node-exporter": "monitoring",
    "postgres": "storage",
    "prometheus": "monitoring",
    "pushgateway": "monitoring",
    "retrain": "training",
    "search": "training",
    names.SMOKE: "delivery",
}
"""Platform ServiceAccount -> component; a slot makes its own. Rights have kube-state-metrics and the analysis only."""


@dataclass(frozen=True, kw_only=True)
class NamespaceArgs:
    """What differs between stacks and clusters."""

    namespace: str
    quota: Mapping[str, str]
    """The `hard` part of its ResourceQuota."""
    network: NetworkArgs = field(default_factory=NetworkArgs)
    shadow: bool = False
    """Whether serving pods may call each other."""


class Namespace(pulumi.ComponentResource):
    """The namespace, restricted, bounded and closed; everything of the stack goes into it."""

    namespace: pulumi.Output[str]
    """Its name, known only when it exists: what takes it waits for the namespace."""
    accounts: Mapping[str, pulumi.Output[str]]
    """Component name -> name of its ServiceAccount."""

    def __init__(self, name: str, args: NamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:backing:Namespace", name, None, opts)
        created = self._namespace(args)
        self.namespace = created.metadata.name
        self._bounds(args)
        policies(self.namespace, args.network, self, flows_of(shadow=args.shadow))
        self.accounts = {account: self._account(account, part) for account, part in ACCOUNTS.items()}
        self.register_outputs({"namespace": self.namespace, "accounts": dict(self.accounts)})

    def _namespace(self, args: NamespaceArgs) -> KubernetesNamespace:
        security = {
            f"pod-security.kubernetes.io/{mode}{suffix}": value
            for mode in ("enforce", "audit", "warn")
            for suffix, value in (("", "restricted"), ("-version", POD_SECURITY_VERSION))
        }
        return KubernetesNamespace(
            "namespace",
            metadata=ObjectMetaArgs(name=args.namespace, labels={**names.labels("namespace", "namespace"), **security}),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _bounds(self, args: NamespaceArgs) -> None:
        labels = names.labels("bounds", "namespace")
        ResourceQuota(
            "quota",
            metadata=ObjectMetaArgs(name="quota", namespace=self.namespace, labels=labels),
            spec=ResourceQuotaSpecArgs(hard=dict(args.quota)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        LimitRange(
            "limits",
            metadata=ObjectMetaArgs(name="limits", namespace=self.namespace, labels=labels),
            spec=LimitRangeSpecArgs(
                limits=[
                    LimitRangeItemArgs(
                        type="Container",
                        default_request={"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "32Mi"},
                        default={"cpu": "500m", "memory": "256Mi", "ephemeral-storage": "256Mi"},
                    ),
                ],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _account(self, account: str, component: str) -> pulumi.Output[str]:
        created = ServiceAccount(
            account,
            metadata=ObjectMetaArgs(name=account, namespace=self.namespace, labels=names.labels(account, component)),
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        found: pulumi.Output[str] = created.metadata.name
        return found
