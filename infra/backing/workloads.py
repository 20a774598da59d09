"""The objects around a pod, in the one form this project uses: Deployment, Service, claim, configuration.

Each function registers one resource and returns it; the caller is a component and passes itself as `parent`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpecArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra import names

READY_WITHIN_S: Final = 300
"""Longest wait for a platform pod; without it the provider waits ten minutes for one that cannot start."""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How people outside the cluster reach a Service."""

    type: str = "ClusterIP"
    node_port: int | None = None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What every object of one part of the platform has in common."""

    name: str
    component: str
    namespace: pulumi.Input[str]
    parent: pulumi.Resource

    @property
    def labels(self) -> dict[str, str]:
        """Labels of its objects and pods."""
        return names.labels(self.name, self.component)

    @property
    def selector(self) -> dict[str, str]:
        """The labels that find its pods."""
        return names.selector(self.name)

    @property
    def opts(self) -> pulumi.ResourceOptions:
        """Options of its resources."""
        return pulumi.ResourceOptions(parent=self.parent)

    def metadata(self, name: str | None = None, annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
        """Metadata with a fixed name, or an automatic one when `name` is empty."""
        return ObjectMetaArgs(
            name=(name if name is not None else self.name) or None,
            namespace=self.namespace,
            labels=self.labels,
            annotations=dict(annotations) if annotations else None,
        )

    def template(self, pod: PodSpecArgs) -> PodTemplateSpecArgs:
        """A pod template that its selector finds."""
        return PodTemplateSpecArgs(metadata=ObjectMetaArgs(labels=self.labels), spec=pod)


def deployment(of: Identity, pod: PodSpecArgs) -> Deployment:
    """One replica that is stopped before its successor starts: both would hold the same volume or state."""
    return Deployment(
        of.name,
        metadata=of.metadata(annotations={"pulumi.com/timeoutSeconds": str(READY_WITHIN_S)}),
        spec=DeploymentSpecArgs(
            replicas=1,
            revision_history_limit=3,
            progress_deadline_seconds=READY_WITHIN_S,
            strategy=DeploymentStrategyArgs(type="Recreate"),
            selector=LabelSelectorArgs(match_labels=of.selector),
            template=of.template(pod),
        ),
        opts=of.opts,
    )


def service(of: Identity, port: int, *, exposure: Exposure | None = None, headless: bool = False) -> Service:
    """A Service with the component's name in front of its ready pods, on the same port number."""
    return _service(of, of.name, port, exposure=exposure, headless=headless)


def scrape_service(of: Identity, port: int, *, name: str, selector: Mapping[str, str] | None = None) -> Service:
    """A headless Service for Prometheus: one address per pod, also of pods that are not ready, which matter most."""
    return _service(of, name, port, headless=True, selector=selector, with_unready=True)


def _service(  # noqa: PLR0913  (all keyword-only but the first three)
    of: Identity,
    name: str,
    port: int,
    *,
    exposure: Exposure | None = None,
    headless: bool = False,
    selector: Mapping[str, str] | None = None,
    with_unready: bool = False,
) -> Service:
    return Service(
        name,
        # The workload's own wait proves readiness; the provider's fixed ten seconds for a Service would come on top.
        metadata=of.metadata(name, annotations={"pulumi.com/skipAwait": "true"}),
        spec=ServiceSpecArgs(
            publish_not_ready_addresses=True if with_unready else None,
            type=exposure.type if exposure else "ClusterIP",
            cluster_ip="None" if headless else None,
            selector=dict(selector or of.selector),
            ports=[
                ServicePortArgs(
                    name="main",
                    port=port,
                    target_port=port,
                    node_port=exposure.node_port if exposure and exposure.type == "NodePort" else None,
                ),
            ],
        ),
        opts=of.opts,
    )


def claim_spec(size: str, storage_class: str = "") -> PersistentVolumeClaimSpecArgs:
    """A volume that one node writes; an empty class means the cluster's default."""
    return PersistentVolumeClaimSpecArgs(
        access_modes=["ReadWriteOnce"],
        storage_class_name=storage_class or None,
        resources=VolumeResourceRequirementsArgs(requests={"storage": size}),
    )


def claim(of: Identity, size: str, storage_class: str = "") -> PersistentVolumeClaim:
    """A claim that outlives its pods."""
    return PersistentVolumeClaim(
        of.name,
        # A class that binds at first use stays Pending until the pod exists, and the pod waits for this claim.
        metadata=of.metadata(annotations={"pulumi.com/skipAwait": "true"}),
        spec=claim_spec(size, storage_class),
        opts=of.opts,
    )


def config(of: Identity, role: str, files: Mapping[str, pulumi.Input[str]]) -> ConfigMap:
    """Immutable files under an automatic name: a change makes a new object, which rolls the pod that mounts it."""
    return ConfigMap(f"{of.name}-{role}", metadata=of.metadata(name=""), data=dict(files), immutable=True, opts=of.opts)
