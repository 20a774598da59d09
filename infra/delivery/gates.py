"""The last look before traffic moves: a hook that runs right before the live Service is created or changed.

A Service whose selector matches no pod counts as ready, for Kubernetes and for the provider; so this reads the cluster
itself. A hook that raises stops the step: the Service stays as it is.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
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


@dataclass(frozen=True, kw_only=True)
class LiveSlotGate:
    """What the engine calls before it creates or changes the live Service."""

    cluster: Cluster
    """Where to look: the same cluster that the provider changes."""
    namespace: str
    digests: Mapping[Slot, str]
    """Slot -> digest of the record that was verified for it."""
    patience_s: float = PATIENCE_S

    async def __call__(self, args: pulumi.ResourceHookArgs) -> None:
        """Return if traffic may go where the Service is about to send it; raise `GateError` if not."""
        slot = selected_slot(args.new_inputs)
        read = _Reader(self.cluster, self.namespace).read
        await wait_until_ready(slot, self.digests[slot], read, self.namespace, patience_s=self.patience_s)


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
    selector = ((inputs or {}).get("spec") or {}).get("selector") or {}
    for slot in SLOTS:
        if selector.get(SLOT_LABEL) == slot:
            return slot
    message = f"the live Service selects {dict(selector)!r}; must select {SLOT_LABEL}: {' or '.join(SLOTS)}"
    raise GateError("ML-GATE-203", message, "pulumi config set live blue")


class _Reader:
    """Reads one slot's objects; connects only when asked, which is never in a preview."""

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
        # JSON instead of the client's types: those refuse a slice whose list of endpoints is null, as an empty one is.
        plain = {"_preload_content": False, "_request_timeout": TIMEOUT_S}
        try:
            with api_client(self._cluster) as connection:
                # Typed as anything, since the types of the library do not know plain answers.
                discovery: Any = client.DiscoveryV1Api(connection)
                apps: Any = client.AppsV1Api(connection)
                slices = discovery.list_namespaced_endpoint_slice(
                    self._namespace,
                    label_selector=f"kubernetes.io/service-name={name}",
                    **plain,
                )
                deployment = apps.read_namespaced_deployment(name, self._namespace, **plain)
        except client.ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return SlotFacts(replicas=None, record_digest=None, ready_endpoints=0)
            raise _unreadable(name, f"{error.status} {error.reason}") from error
        except urllib3.exceptions.HTTPError as error:
            raise _unreadable(name, type(error).__name__) from error
        return facts_of(json.loads(deployment.data), json.loads(slices.data)["items"])


def facts_of(deployment: Mapping[str, Any], slices: Iterable[Mapping[str, Any]]) -> SlotFacts:
    """The facts in a Deployment and in the EndpointSlices of its Service, as the API server writes them."""
    endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or []]
    return SlotFacts(
        replicas=deployment["spec"].get("replicas", 1),
        record_digest=(deployment["metadata"].get("annotations") or {}).get(RECORD_DIGEST_ANNOTATION),
        # A pod that shuts down is not ready, although its endpoint may still stand there.
        ready_endpoints=sum(1 for endpoint in endpoints if (endpoint.get("conditions") or {}).get("ready") is True),
    )


def _unreadable(name: str, why: str) -> GateError:
    return GateError("ML-GATE-204", f"the cluster cannot be asked about {name}: {why}", "mlp cluster status")
