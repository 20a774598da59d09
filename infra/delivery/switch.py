"""Where traffic goes: the live Service and the preview Service. Moving the live one is the switch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.core.v1 import Service, ServicePortArgs, ServiceSpecArgs
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.addresses import url
from infra.canary_settings import CanarySettings
from infra.delivery.canary import route
from infra.names import (
    CONTAINER_PORT,
    LIVE_SERVICE,
    MODEL,
    PREVIEW_SERVICE,
    SERVICE_PORT,
    SLOT_LABEL,
    Slot,
    labels,
    selector,
)
from infra.settings import ServiceType
from infra.slots import Plan


@dataclass(frozen=True, kw_only=True)
class SwitchArgs:
    """Which slots the Services select, and how the Services are reached."""

    namespace: pulumi.Input[str]
    plan: Plan
    live_type: ServiceType
    live_node_port: int | None
    preview_type: ServiceType
    preview_node_port: int | None
    node_host: str
    """Host part of a NodePort's URL."""
    gate: pulumi.ResourceHook
    """Runs before the live Service is created or changed."""
    proof: pulumi.ResourceHook
    """Runs after that."""
    live_after: Sequence[pulumi.Resource]
    """The slot that goes live, and its smoke test."""
    canary: CanarySettings = field(default_factory=CanarySettings)
    canary_gate: pulumi.ResourceHook | None = None
    """Runs before the idle slot gets a part of the traffic; None where it gets none."""
    preview_after: Sequence[pulumi.Resource] = ()
    """The idle slot and its smoke test."""


class Switch(pulumi.ComponentResource):
    """The Services `model` and `model-preview`."""

    live: Service

    live_slot: pulumi.Output[str]
    """The slot that the live Service selects, from its outputs: after a failed update still the truth."""
    live_url: pulumi.Output[str]
    preview_url: pulumi.Output[str]

    def __init__(self, name: str, args: SwitchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:delivery:Switch", name, None, opts)
        self.live = live = Service(
            f"{name}-live",
            metadata=_live_metadata(args),
            spec=_spec(args.plan.live, args.live_type, args.live_node_port),
            opts=pulumi.ResourceOptions(
                parent=self,
                # Traffic moves after the slot it moves to has come up and passed, and not at all when that failed.
                depends_on=list(args.live_after),
                hooks=pulumi.ResourceHookBinding(
                    before_create=[args.gate],
                    before_update=[args.gate],
                    after_create=[args.proof],
                    after_update=[args.proof],
                ),
            ),
        )
        preview = self._preview(name, args)
        self.live_slot = live.spec.apply(lambda spec: str((spec.selector or {})[SLOT_LABEL]))
        self.live_url = url(live, args.node_host)
        self.preview_url = url(preview, args.node_host)
        self.register_outputs(
            {"live_slot": self.live_slot, "live_url": self.live_url, "preview_url": self.preview_url},
        )

    def _preview(self, name: str, args: SwitchArgs) -> Service:
        """The preview Service and, where there is one, the route: which of the two comes first depends on the weight.

        A weight that goes takes effect before the preview Service moves; one that comes, after it has moved.
        """
        gate, carries = _canary_options(args)
        closed = [self._route(name, args, carries)] if args.canary.enabled and not gate else []
        preview = Service(
            f"{name}-preview",
            metadata=_metadata(PREVIEW_SERVICE, args.namespace, {"skipAwait": "true"}),
            spec=_spec(args.plan.preview, args.preview_type, args.preview_node_port),
            opts=pulumi.ResourceOptions.merge(carries, pulumi.ResourceOptions(parent=self, depends_on=closed)),
        )
        if gate:
            self._route(name, args, pulumi.ResourceOptions.merge(carries, pulumi.ResourceOptions(depends_on=[preview])))
        return preview

    def _route(self, name: str, args: SwitchArgs, opts: pulumi.ResourceOptions) -> pulumi.Resource:
        own = pulumi.ResourceOptions(parent=self)
        return route(f"{name}-route", args.canary, args.namespace, pulumi.ResourceOptions.merge(opts, own))


def _canary_options(args: SwitchArgs) -> tuple[bool, pulumi.ResourceOptions]:
    """Whether the idle slot gets a part of the traffic, and then what comes before that."""
    if args.canary_gate is None:
        return False, pulumi.ResourceOptions()
    hooks = pulumi.ResourceHookBinding(before_create=[args.canary_gate], before_update=[args.canary_gate])
    return True, pulumi.ResourceOptions(depends_on=list(args.preview_after), hooks=hooks)


def _live_metadata(args: SwitchArgs) -> ObjectMetaArgs:
    # The provider's wait is ten fixed seconds and takes an empty Service for a ready one; our proof knows better. Only
    # the address of a load balancer is worth waiting for.
    wait = {"timeoutSeconds": "300"} if args.live_type == "LoadBalancer" else {"skipAwait": "true"}
    # The analysis moves the selector back by itself. Whether anybody else has moved it is asked by the gate, which
    # says more than the conflict that the provider would end with.
    return _metadata(LIVE_SERVICE, args.namespace, {**wait, "patchForce": "true"})


def _metadata(name: str, namespace: pulumi.Input[str], orders: Mapping[str, str]) -> ObjectMetaArgs:
    return ObjectMetaArgs(
        name=name,
        namespace=namespace,
        labels=labels(MODEL, "serving"),
        annotations={f"pulumi.com/{order}": value for order, value in orders.items()},
    )


def _spec(slot: Slot, service_type: ServiceType, node_port: int | None) -> ServiceSpecArgs:
    return ServiceSpecArgs(
        type=service_type,
        selector=selector(MODEL, slot),
        ports=[
            ServicePortArgs(
                name="http",
                port=SERVICE_PORT,
                target_port=CONTAINER_PORT,
                node_port=node_port if service_type == "NodePort" else None,
            ),
        ],
    )
