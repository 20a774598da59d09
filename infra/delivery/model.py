"""The model of a stack: its slots, the Services in front of them, and the check whether its inputs have moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pulumi

from infra.backing.pods import Resources
from infra.cluster import Cluster, api_client
from infra.delivery.autoscaler import warm_s
from infra.delivery.canary import CanaryGate, canary_hook
from infra.delivery.capacity import capacity_of, put_back_hook
from infra.delivery.gates import LiveSlotGate, live_slot_hook
from infra.delivery.image import Images
from infra.delivery.image_gate import ImageGate, image_hook
from infra.delivery.jobs import Analysis, AnalysisArgs, JobArgs, Smoke
from infra.delivery.occupied import OccupiedSlotGate, occupied_hook
from infra.delivery.proof import SwitchProof, switch_proof_hook
from infra.delivery.slot import ModelSlot, ModelSlotArgs
from infra.delivery.switch import Switch, SwitchArgs
from infra.foundation import Foundation
from infra.names import ANALYSIS, BATCH, LIVE_SERVICE, PREVIEW_SERVICE, SMOKE, TRAINING_IMAGE, Slot
from infra.release import Evidence
from infra.settings import Settings
from infra.slots import Plan
from infra.workloads.batch import Batch, BatchArgs
from infra.workloads.drift import DriftCheck, DriftCheckArgs
from ml.security.image import scan_image
from ml.stack import ledger
from ml.stack.objects import KubernetesObjects, Objects


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
        objects = KubernetesObjects(
            partial(api_client, args.cluster), args.settings.namespace, f"cluster of {args.cluster.kubeconfig}"
        )
        slots = {slot: self._slot(slot, args, objects) for slot in args.settings.slots}
        smoked = {slot: self._smoke(slot, one, args) for slot, one in slots.items()}
        live = args.plan.live
        idle = args.plan.idle
        proof = {slot: [slots[slot], smoked[slot]] for slot in slots}
        switch = self._switch(args, objects, proof[live], [] if idle is None else proof[idle])
        proven: pulumi.Resource = switch.live
        if watched(args.settings.analysis.enabled, args.plan, args.evidence):
            proven = self._analysis(args, slots[live], switch, objects)
        self._drift_check(args)
        if args.settings.batch.enabled:
            self._batch(args, slots[live], after=[proven])
        self.live = switch.live_slot
        self.slots = {slot: {"release": one.release, "image": one.image} for slot, one in slots.items()}
        self.urls = {LIVE_SERVICE: switch.live_url, PREVIEW_SERVICE: switch.preview_url}
        self.register_outputs({"live": self.live, "slots": self.slots, "urls": self.urls})

    def _slot(self, slot: Slot, args: ModelArgs, objects: Objects) -> ModelSlot:
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
                warm_s=warm_s(settings.analysis),
                monitoring_endpoint=settings.monitoring_endpoint or args.foundation.prometheus_url,
                key_hashes_secret=args.foundation.key_hashes_secret,
                image_gate=image_hook(slot, self._image_gate(evidence.release, args)),
                shadow=settings.shadow,
                occupied_gate=occupied_hook(
                    OccupiedSlotGate(objects=objects, slot=slot, routed=settings.canary.enabled)
                ),
                gpu=settings.gpu,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _image_gate(self, release: str, args: ModelArgs) -> ImageGate:
        return ImageGate(
            root=args.root,
            release=release,
            builds=args.settings.build,
            look=partial(scan_image, args.root),
            stack=args.settings.stack,
            accepts=args.settings.accept_waivers,
        )

    def _smoke(self, slot: Slot, runs: ModelSlot, args: ModelArgs) -> Smoke:
        return Smoke(f"smoke-{slot}", JobArgs(**_job(SMOKE, slot, runs, args)), pulumi.ResourceOptions(parent=self))

    def _analysis(self, args: ModelArgs, runs: ModelSlot, switch: Switch, objects: Objects) -> Analysis:
        settings, scaling = args.settings, args.settings.autoscaling
        capacity = capacity_of(objects, settings.namespace)
        return Analysis(
            "analysis",
            AnalysisArgs(
                **{**_job(ANALYSIS, args.plan.live, runs, args), "after": [switch.live]},
                stack=settings.stack,
                namespace_name=settings.namespace,
                back=args.plan.idle,
                champion=None if args.plan.idle is None else args.evidence[args.plan.idle],
                prometheus_url=args.foundation.prometheus_url,
                promise=settings.analysis.promise,
                passed=[put_back_hook(capacity, args.plan.live, scaling.min)] if scaling.enabled else [],
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _canary_gate(self, args: ModelArgs, objects: Objects) -> pulumi.ResourceHook | None:
        idle = args.plan.idle
        if idle is None or not args.settings.canary.weight:
            return None
        return canary_hook(
            CanaryGate(objects=objects, namespace=args.settings.namespace, slot=idle, digest=args.evidence[idle].digest)
        )

    def _switch(
        self,
        args: ModelArgs,
        objects: Objects,
        live_after: Sequence[pulumi.Resource],
        preview_after: Sequence[pulumi.Resource],
    ) -> Switch:
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
                gate=live_slot_hook(
                    LiveSlotGate(
                        objects=objects,
                        namespace=settings.namespace,
                        digests=digests,
                        capacity=capacity_of(objects, settings.namespace) if settings.autoscaling.enabled else None,
                    )
                ),
                proof=switch_proof_hook(
                    SwitchProof(
                        objects=objects, digests=digests, note=partial(_note, args.root, settings.stack, objects)
                    )
                ),
                live_after=live_after,
                canary=settings.canary,
                canary_gate=self._canary_gate(args, objects),
                preview_after=preview_after,
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

    def _batch(self, args: ModelArgs, runs: ModelSlot, after: Sequence[pulumi.Resource]) -> Batch:
        """Once the release keeps the traffic: what was refused or rolled back predicts nothing."""
        return Batch(
            BATCH,
            BatchArgs(
                namespace=args.foundation.namespace,
                settings=args.settings.batch,
                image=args.images.platform[TRAINING_IMAGE],
                model_image=runs.image,
                service_account=args.foundation.accounts[BATCH],
                push_url=args.foundation.push_url,
                storage_class=args.settings.storage.storage_class,
                after=after,
            ),
            pulumi.ResourceOptions(parent=self),
        )


def _note(root: Path, stack: str, objects: Objects) -> None:
    ledger.record(root, stack, objects, now=datetime.now(tz=UTC), who=ledger.actor(root))


def watched(enabled: bool, plan: Plan, evidence: Mapping[Slot, Evidence]) -> bool:  # noqa: FBT001  (the configuration's own word)
    """Whether the live release is watched: a rollback goes to what has been proven, and is done when it is done."""
    if not enabled or plan.idle is None:
        return enabled
    return evidence[plan.idle].digest in evidence[plan.live].champions


def _job(name: str, slot: Slot, runs: ModelSlot, args: ModelArgs) -> dict[str, Any]:
    """What both Jobs of the walk are made of."""
    return {
        "namespace": args.foundation.namespace,
        "image": args.images.platform["worker"],
        "service_account": args.foundation.accounts[name],
        "key_secret": args.foundation.key_secret,
        "slot": slot,
        "slot_hash": runs.hash,
        "evidence": args.evidence[slot],
        "after": [runs],
    }
