"""The model of a stack: its slots, the Services in front of them, and the check whether its inputs have moved."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pulumi

from infra.backing.pods import Resources
from infra.cluster import Cluster
from infra.delivery.gates import LiveSlotGate, live_slot_hook
from infra.delivery.image import Images
from infra.delivery.image_gate import ImageGate, image_hook
from infra.delivery.slot import ModelSlot, ModelSlotArgs
from infra.delivery.switch import Switch, SwitchArgs
from infra.foundation import Foundation
from infra.names import LIVE_SERVICE, PREVIEW_SERVICE, Slot
from infra.release import Evidence
from infra.settings import Settings
from infra.slots import Plan
from infra.workloads.drift import DriftCheck, DriftCheckArgs
from ml.security.image import scan_image


@dataclass(frozen=True, kw_only=True)
class ModelArgs:
    """What runs and where traffic goes: decided before, from configuration and releases."""

    root: Path
    """The checkout, which has `releases/`."""
    settings: Settings
    plan: Plan
    evidence: Mapping[Slot, Evidence]
    images: Images
    cluster: Cluster
    foundation: Foundation


class Model(pulumi.ComponentResource):
    """Everything that carries a release."""

    live: pulumi.Output[str]
    """The live slot, from the live Service's outputs."""
    slots: Mapping[Slot, Mapping[str, pulumi.Output[str]]]
    """Slot -> release and image, from the Deployments' outputs."""
    urls: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ModelArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:delivery:Model", name, None, opts)
        slots = {slot: self._slot(slot, args) for slot in args.settings.slots}
        switch = self._switch(args, slots)
        self._drift_check(args)
        self.live = switch.live_slot
        self.slots = {slot: {"release": one.release, "image": one.image} for slot, one in slots.items()}
        self.urls = {LIVE_SERVICE: switch.live_url, PREVIEW_SERVICE: switch.preview_url}
        self.register_outputs({"live": self.live, "slots": self.slots, "urls": self.urls})

    def _slot(self, slot: Slot, args: ModelArgs) -> ModelSlot:
        settings, evidence = args.settings, args.evidence[slot]
        given = settings.slots[slot].image
        return ModelSlot(
            slot,
            ModelSlotArgs(
                namespace=args.foundation.namespace,
                slot=slot,
                evidence=evidence,
                image=args.images.serving[evidence.release] if given is None else given,
                replicas=settings.replicas,
                resources=Resources(
                    cpu_request=settings.requests.cpu,
                    memory_request=settings.requests.memory,
                    cpu_limit=settings.limits.cpu,
                    memory_limit=settings.limits.memory,
                ),
                autoscaling=settings.autoscaling,
                monitoring_endpoint=settings.monitoring_endpoint or args.foundation.prometheus_url,
                key_hashes_secret=args.foundation.key_hashes_secret,
                image_gate=image_hook(slot, self._image_gate(evidence.release, args)),
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _image_gate(self, release: str, args: ModelArgs) -> ImageGate:
        return ImageGate(
            root=args.root,
            release=release,
            builds=args.settings.build,
            look=partial(scan_image, args.root),
        )

    def _switch(self, args: ModelArgs, slots: Mapping[Slot, ModelSlot]) -> Switch:
        settings = args.settings
        digests = {slot: evidence.digest for slot, evidence in args.evidence.items()}
        return Switch(
            "switch",
            SwitchArgs(
                namespace=args.foundation.namespace,
                plan=args.plan,
                live_type=settings.service_type,
                live_node_port=settings.node_ports.live,
                preview_type=settings.exposed_as,
                preview_node_port=settings.node_ports.preview,
                node_host=args.cluster.node_host,
                gate=live_slot_hook(LiveSlotGate(cluster=args.cluster, namespace=settings.namespace, digests=digests)),
                live_after=slots[args.plan.live],
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _drift_check(self, args: ModelArgs) -> DriftCheck:
        live = args.evidence[args.plan.live]
        return DriftCheck(
            "drift-check",
            DriftCheckArgs(
                namespace=args.foundation.namespace,
                image=args.images.platform["worker"],
                service_account=args.foundation.accounts["drift-check"],
                release_files={"record.json": live.record, "serving.json": live.serving},
                live_slot=args.plan.live,
                schedule=args.settings.drift_schedule,
                prometheus_url=args.foundation.prometheus_url,
            ),
            pulumi.ResourceOptions(parent=self),
        )
