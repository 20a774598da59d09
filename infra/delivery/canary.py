"""The weighted step: an HTTPRoute over the live and the preview Service, and the gate of what that carries.

The route names Services, not slots: whatever moves the live Service back (the analysis, `mlp rollback`) moves the
route's traffic with it, and nobody has to know of the route. What the preview Service selects gets traffic of clients
as soon as the weight is above nought, so the same questions are asked of it as of a slot that goes live.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.canary_settings import CanarySettings
from infra.delivery.gates import PATIENCE_S, slot_facts, unreadable, wait_until_ready
from infra.names import LIVE_SERVICE, MODEL, PREVIEW_SERVICE, ROUTE, SERVICE_PORT, Slot, labels
from ml.delivery.traffic import rolled_back
from ml.errors import GateError, SurroundingsError
from ml.stack.objects import Objects

GROUP: Final = "gateway.networking.k8s.io"
VERSION: Final = f"{GROUP}/v1"


@dataclass(frozen=True, kw_only=True)
class CanaryGate:
    """What the engine calls before the route, or the preview Service behind it, sends clients to the idle slot."""

    objects: Objects
    """The stack's namespace."""
    namespace: str
    slot: Slot
    digest: str
    """Of the record that was verified for the slot."""
    patience_s: float = PATIENCE_S

    async def __call__(self, _args: pulumi.ResourceHookArgs) -> None:
        """Return if the slot may have traffic; raise `GateError` if not."""
        await asyncio.to_thread(self._refuse_what_was_rolled_back)

        def read(slot: Slot) -> Any:
            return slot_facts(self.objects, slot)

        await wait_until_ready(self.slot, self.digest, read, self.namespace, patience_s=self.patience_s)

    def _refuse_what_was_rolled_back(self) -> None:
        try:
            service = self.objects.one("service", LIVE_SERVICE)
        except SurroundingsError as error:
            raise unreadable(LIVE_SERVICE, error) from error
        for one in rolled_back(service):
            if one.record_digest == self.digest:
                message = (
                    f"httproute {ROUTE}: slot {self.slot} holds {one.release}, which was rolled back at {one.at} and "
                    f"does not get traffic again: {one.why}"
                )
                raise GateError("ML-GATE-213", message, "pulumi config set --path 'canary.weight' 0, or mlp rollback")


def canary_hook(gate: CanaryGate) -> pulumi.ResourceHook:
    """The gate as a hook for `before_create` and `before_update`."""

    async def before(args: pulumi.ResourceHookArgs) -> None:
        """Look at the slot that is to get a part of the traffic."""
        await gate(args)

    return pulumi.ResourceHook("canary-slot-is-ready", before)


def route(
    name: str, settings: CanarySettings, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> CustomResource:
    """The HTTPRoute."""
    return CustomResource(
        name,
        api_version=VERSION,
        kind="HTTPRoute",
        metadata=ObjectMetaArgs(name=ROUTE, namespace=namespace, labels=labels(MODEL, "serving")),
        spec={
            "parentRefs": [
                {
                    "group": GROUP,
                    "kind": "Gateway",
                    "name": settings.gateway,
                    "namespace": settings.gateway_namespace,
                }
            ],
            "hostnames": [settings.hostname],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [
                        _backend(LIVE_SERVICE, 100 - settings.weight),
                        _backend(PREVIEW_SERVICE, settings.weight),
                    ],
                }
            ],
        },
        opts=opts,
    )


def _backend(service: str, weight: int) -> dict[str, Any]:
    return {"group": "", "kind": "Service", "name": service, "port": SERVICE_PORT, "weight": weight}
