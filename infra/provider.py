"""The connection to the cluster that was named, and to no other."""

import pulumi
from pulumi_kubernetes import Provider

from infra.cluster import Cluster


def on_cluster(cluster: Cluster) -> pulumi.ResourceOptions:
    """Options that put a component and all its children on this cluster, whatever the shell's own context is."""
    provider = Provider(
        "cluster",
        # A path instead of the content: no credentials in the state.
        kubeconfig=str(cluster.kubeconfig),
        context=cluster.context,
        # This alone decides whether everything is replaced: a kubeconfig that moved replaces nothing.
        cluster_identifier=cluster.context,
    )
    return pulumi.ResourceOptions(provider=provider)
