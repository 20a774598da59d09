"""The last look before traffic moves: a hook that runs right before the live Service is created or changed.

A Service whose selector matches no pod counts as ready, for Kubernetes and for the provider; so this reads the cluster
itself. A hook that raises stops the step: the Service stays as it is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import pulumi

from infra.names import LIVE_SERVICE, RECORD_DIGEST_ANNOTATION, SLOT_LABEL, SLOTS, Slot, slot_name
from ml.delivery.capacity import Capacity
from ml.delivery.traffic import rolled_back, selected
from ml.errors import GateError, SurroundingsError
from ml.stack.objects import Objects

PATIENCE_S: Final = 60
"""The Deployment has been awaited before; this is for endpoints and autoscaling to settle."""
PAUSE_S: Final = 1.0
SERVICE_OF_SLICE: Final = "kubernetes.io/service-name"


@dataclass(frozen=True, kw_only=True)
class SlotFacts:
    """What the cluster says about one slot."""

    replicas: int | None
    """What its Deployment asks for; None when there is no Deployment."""
    record_digest: str | None
    ready_endpoints: int
    """Of the slot's own Service."""


ReadSlot = Callable[[Slot], SlotFacts]


def flaws(slot: Slot, facts: SlotFacts, digest: str) -> list[str]:
    """Why traffic must not go to the slot; empty when it may.

    Args:
        slot: The slot that the Service is to select.
        facts: What the cluster says.
        digest: Digest of the record that this program has verified for the slot.
    """
    name = slot_name(slot)
    if facts.replicas is None:
        return [f"deployment {name}: does not exist"]
    found = []
    if facts.replicas < 1:
        found.append(f"deployment {name}: asks for {facts.replicas} replicas; must be at least 1")
    if facts.record_digest != digest:
        found.append(f"deployment {name}: carries record digest {facts.record_digest!r}; must be {digest!r}")
    if facts.ready_endpoints != facts.replicas:
        found.append(
            f"service {name}: has {facts.ready_endpoints} ready endpoints; "
            f"must be the {facts.replicas} replicas of its Deployment",
        )
    return found


async def wait_until_ready(  # noqa: PLR0913  (the last three are seams for tests)
    slot: Slot,
    digest: str,
    read: ReadSlot,
    namespace: str,
    *,
    patience_s: float = PATIENCE_S,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = monotonic,
) -> None:
    """Return once nothing speaks against the slot.

    Raises:
        GateError: Something still does after `patience_s`; names every object, what it is and what it must be.
    """
    end = clock() + patience_s
    while found := flaws(slot, await asyncio.to_thread(read, slot), digest):
        if clock() >= end:
            message = f"traffic is not moved to slot {slot}: " + "; ".join(found)
            raise GateError("ML-GATE-202", message, f"kubectl -n {namespace} describe deployment {slot_name(slot)}")
        await sleep(PAUSE_S)


def refusal(service: Mapping[str, Any] | None, before: Slot | None, to: Slot, digest: str) -> GateError | None:
    """Why the live Service must not select a slot, by what the Service itself says; None when it may.

    Args:
        service: As the cluster has it; None when there is none yet.
        before: The slot that this program knows it to select.
        to: The slot that it is about to select.
        digest: Of the record that was verified for that slot.
    """
    now = selected(service)
    if now not in (None, before, to):
        message = (
            f"service {LIVE_SERVICE} selects slot {now!r}, and this stack knows {before!r}: somebody else moved it"
        )
        return GateError("ML-GATE-208", message, "pulumi up --refresh, which first reads what the cluster has")
    for one in rolled_back(service):
        # Where the traffic has been all along it may stay: the mark is about getting it.
        if one.record_digest == digest and now != to:
            message = f"release {one.release} was rolled back at {one.at} and does not get the traffic again: {one.why}"
            fix = "mlp rollback --stack STACK, or stage another release; see docs/runbooks/ReleaseRolledBack.md"
            return GateError("ML-GATE-209", message, fix)
    return None


@dataclass(frozen=True, kw_only=True)
class LiveSlotGate:
    """What the engine calls before it creates or changes the live Service."""

    objects: Objects
    """The stack's namespace, on the same cluster that the provider changes."""
    namespace: str
    digests: Mapping[Slot, str]
    """Slot -> digest of the record that was verified for it."""
    capacity: Capacity | None = None
    """Gives the new slot as many pods as the old one has now; None where the number is the configured one."""
    patience_s: float = PATIENCE_S

    async def __call__(self, args: pulumi.ResourceHookArgs) -> None:
        """Return if traffic may go where the Service is about to send it; raise `GateError` if not."""
        slot = selected_slot(args.new_inputs)
        before = selected_slot(args.old_inputs) if args.old_inputs else None
        live = await asyncio.to_thread(self._prepare, before, slot)
        if self.capacity is not None and live is not None and live != slot:
            await self._match(self.capacity, live, slot)
        await wait_until_ready(slot, self.digests[slot], self._facts, self.namespace, patience_s=self.patience_s)

    def _prepare(self, before: Slot | None, slot: Slot) -> Slot | None:
        """The slot that has the traffic now, which the cluster knows better than this update's state."""
        try:
            service = self.objects.one("service", LIVE_SERVICE)
            refused = refusal(service, before, slot, self.digests[slot])
        except SurroundingsError as error:
            raise unreadable(LIVE_SERVICE, error) from error
        if refused is not None:
            raise refused
        return slot_of(selected(service))

    async def _match(self, capacity: Capacity, live: Slot, slot: Slot) -> None:
        try:
            await capacity.match(live, slot)
        except SurroundingsError as error:
            raise unreadable(slot_name(slot), error) from error

    def _facts(self, slot: Slot) -> SlotFacts:
        return slot_facts(self.objects, slot)


def slot_facts(objects: Objects, slot: Slot) -> SlotFacts:
    """What the cluster says about a slot.

    Raises:
        GateError: `ML-GATE-204` it cannot be asked.
    """
    name = slot_name(slot)
    try:
        deployment = objects.one("deployment", name)
        slices = slices_of(objects, name)
    except SurroundingsError as error:
        raise unreadable(name, error) from error
    if deployment is None:
        return SlotFacts(replicas=None, record_digest=None, ready_endpoints=0)
    return facts_of(deployment, slices)


def slices_of(objects: Objects, service: str) -> list[Mapping[str, Any]]:
    """The EndpointSlices of a Service."""
    return [
        one
        for one in objects.every("endpointslice")
        if ((one.get("metadata") or {}).get("labels") or {}).get(SERVICE_OF_SLICE) == service
    ]


def ready_addresses(slices: Iterable[Mapping[str, Any]]) -> list[str]:
    """Addresses of the ready endpoints. A pod that shuts down is not ready, although it may still stand there."""
    endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or []]
    ready = [one for one in endpoints if (one.get("conditions") or {}).get("ready") is True]
    return sorted(address for one in ready for address in one.get("addresses") or [])


def live_slot_hook(gate: LiveSlotGate) -> pulumi.ResourceHook:
    """The gate as a hook for the live Service's `before_create` and `before_update`."""

    async def before(args: pulumi.ResourceHookArgs) -> None:
        """Look at the slot that is to go live."""
        await gate(args)

    return pulumi.ResourceHook("live-slot-is-ready", before)


def selected_slot(inputs: Mapping[str, Any] | None) -> Slot:
    """The slot that a Service's inputs select.

    Raises:
        GateError: They select none.
    """
    found = selected(inputs)
    slot = slot_of(found)
    if slot is None:
        message = f"the live Service selects slot {found!r}; must select {SLOT_LABEL}: {' or '.join(SLOTS)}"
        raise GateError("ML-GATE-203", message, "pulumi config set live blue")
    return slot


def slot_of(name: str | None) -> Slot | None:
    """The slot of that name; None when there is none."""
    return next((slot for slot in SLOTS if slot == name), None)


def facts_of(deployment: Mapping[str, Any], slices: Iterable[Mapping[str, Any]]) -> SlotFacts:
    """The facts in a Deployment and in the EndpointSlices of its Service, as the API server writes them."""
    return SlotFacts(
        replicas=deployment["spec"].get("replicas", 1),
        record_digest=(deployment["metadata"].get("annotations") or {}).get(RECORD_DIGEST_ANNOTATION),
        ready_endpoints=len(ready_addresses(slices)),
    )


def unreadable(name: str, error: SurroundingsError) -> GateError:
    """The refusal of a gate that cannot ask the cluster about an object."""
    return GateError("ML-GATE-204", f"the cluster cannot be asked about {name}: {error.message}", "mlp cluster status")
