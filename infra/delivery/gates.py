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

from infra.cluster import Cluster, api_client
from infra.names import RECORD_DIGEST_ANNOTATION, SLOT_LABEL, SLOTS, Slot, slot_name
from ml.errors import GateError

TIMEOUT_S: Final = (3, 10)
"""To connect, and to answer."""
PATIENCE_S: Final = 60
"""The Deployment has been awaited before; this is for endpoints and autoscaling to settle."""
PAUSE_S: Final = 1.0


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


def live_slot_hook(cluster: Cluster, namespace: str, digests: Mapping[Slot, str]) -> pulumi.ResourceHook:
    """The hook for the live Service's `before_create` and `before_update`.

    Args:
        cluster: Where to look: the same cluster that the provider changes.
        namespace: The stack's namespace.
        digests: Slot -> digest of the record that was verified for it.
    """
    reader = _Reader(cluster, namespace)

    async def gate(args: pulumi.ResourceHookArgs) -> None:
        slot = selected_slot(args.new_inputs)
        await wait_until_ready(slot, digests[slot], reader.read, namespace)

    return pulumi.ResourceHook("live-slot-is-ready", gate)


def selected_slot(inputs: Mapping[str, Any] | None) -> Slot:
    """The slot that a Service's inputs select.

    Raises:
        GateError: They select none.
    """
    selector = ((inputs or {}).get("spec") or {}).get("selector") or {}
    for slot in SLOTS:
        if selector.get(SLOT_LABEL) == slot:
            return slot
    message = f"the live Service selects {dict(selector)!r}; must select {SLOT_LABEL}: {' or '.join(SLOTS)}"
    raise GateError("ML-GATE-203", message, "pulumi config set live blue")


class _Reader:
    """Reads one slot's objects; connects when first asked, which is never in a preview."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    def read(self, slot: Slot) -> SlotFacts:
        """What the cluster says now; runs in a thread, since the client blocks.

        Raises:
            GateError: The cluster does not answer or refuses.
        """
        import urllib3  # noqa: PLC0415  (comes with the client library, which is slow to load)
        from kubernetes import client  # noqa: PLC0415

        name = slot_name(slot)
        try:
            with api_client(self._cluster) as connection:
                slices = client.DiscoveryV1Api(connection).list_namespaced_endpoint_slice(
                    self._namespace,
                    label_selector=f"kubernetes.io/service-name={name}",
                    _request_timeout=TIMEOUT_S,
                )
                deployment = client.AppsV1Api(connection).read_namespaced_deployment(
                    name,
                    self._namespace,
                    _request_timeout=TIMEOUT_S,
                )
        except client.ApiException as error:
            if error.status == 404:
                return SlotFacts(replicas=None, record_digest=None, ready_endpoints=0)
            raise _unreadable(name, f"{error.status} {error.reason}") from error
        except urllib3.exceptions.HTTPError as error:
            raise _unreadable(name, type(error).__name__) from error
        metadata, spec = deployment.metadata, deployment.spec
        annotations = (metadata.annotations if metadata is not None else None) or {}
        return SlotFacts(
            replicas=spec.replicas if spec is not None else None,
            record_digest=annotations.get(RECORD_DIGEST_ANNOTATION),
            ready_endpoints=ready_endpoints(slices.items),
        )


def ready_endpoints(slices: Iterable[Any]) -> int:
    """How many endpoints of a Service take traffic now; a pod that shuts down is not one of them."""
    endpoints = [endpoint for one in slices for endpoint in one.endpoints or []]
    return sum(1 for endpoint in endpoints if endpoint.conditions and endpoint.conditions.ready)


def _unreadable(name: str, why: str) -> GateError:
    return GateError("ML-GATE-204", f"the cluster cannot be asked about {name}: {why}", "mlp cluster status")
