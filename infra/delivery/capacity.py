"""Where an update sees to the sizes of the slots: before the switch, after the analysis, and at its own start.

`ml.delivery.capacity` does it. Nothing here stops an update: a minimum that is not put back costs pods, and the next
update looks again.
"""

from functools import partial

import pulumi

from infra.cluster import Cluster, api_client
from infra.names import Slot
from infra.settings import Settings
from ml.delivery.capacity import Capacity
from ml.errors import SurroundingsError
from ml.stack.objects import KubernetesObjects, Objects


def capacity_of(objects: Objects, namespace: str) -> Capacity:
    """The sizes of a stack's slots, as an update sees to them."""
    return Capacity(
        objects=objects,
        namespace=namespace,
        fix="pulumi up again",
        say=pulumi.log.info,
    )


def put_back_earlier(settings: Settings, cluster: Cluster) -> None:
    """Put back what an earlier update has raised: one that was killed, or that nothing watched after its switch."""
    if not settings.autoscaling.enabled or pulumi.runtime.is_dry_run():
        return
    objects = KubernetesObjects(partial(api_client, cluster), settings.namespace, f"cluster of {cluster.kubeconfig}")
    put_back(capacity_of(objects, settings.namespace), settings)


def put_back(capacity: Capacity, settings: Settings) -> None:
    """The same, with the cluster as an argument."""
    try:
        for slot in settings.slots:
            capacity.put_back(slot, settings.autoscaling.min)
    except SurroundingsError as error:
        # Without a cluster this update ends with a better message than ours.
        pulumi.log.info(f"whether an autoscaler's minimum is still raised cannot be seen: {error.message}")


async def put_back_after(capacity: Capacity, slot: Slot, least: int) -> None:
    """Put a slot's minimum back when it has had the traffic for a while."""
    try:
        await capacity.put_back_in_time(slot, least)
    except SurroundingsError as error:
        capacity.say(f"slot {slot}: its autoscaler keeps its minimum until the next update: {error.message}")


def put_back_hook(capacity: Capacity, slot: Slot, least: int) -> pulumi.ResourceHook:
    """For the analysis' `after_create`: it has passed, so nothing takes the traffic away from the slot again."""

    async def after(_args: pulumi.ResourceHookArgs) -> None:
        """Put the minimum back."""
        await put_back_after(capacity, slot, least)

    return pulumi.ResourceHook("autoscaler-minimum-is-back", after)
