"""Two slots in a cluster whose controllers move on whenever somebody sleeps."""

from datetime import UTC, datetime, timedelta
from typing import Any

from infra.names import SLOTS, Slot, slot_name
from ml.delivery.capacity import AUTOSCALER, Capacity
from tests.ml.stack.fakes import Namespace

BEGAN = datetime(2013, 8, 1, tzinfo=UTC)


class Slots(Namespace):
    """Blue has the traffic and as many pods as its load needs; green has none and stands at its minimum.

    At each sleep the autoscaler sets what it recommends within its bounds, as Kubernetes' does, and pods come up while
    there is room.
    """

    def __init__(self, *, serves: int = 6, idle: int = 3, most: int = 6, room: int = 99) -> None:
        super().__init__()
        self.recommended: dict[Slot, int] = {"blue": serves, "green": 1}
        self.room, self.seconds, self.said = room, 0.0, list[str]()
        for slot, pods in (("blue", serves), ("green", idle)):
            deployment = self.slot(slot, "flights-0001")
            deployment["metadata"]["resourceVersion"] = "1"
            deployment["spec"]["replicas"] = deployment["status"]["readyReplicas"] = pods
            self.objects[AUTOSCALER, f"model-{slot}"] = {
                "metadata": {"resourceVersion": "1", "annotations": {"pulumi.com/patchForce": "true"}},
                "spec": {"minReplicas": idle, "maxReplicas": most},
            }
        self.live("blue")

    def deployment(self, slot: Slot) -> dict[str, Any]:
        return self.objects["deployment", slot_name(slot)]

    def autoscaler(self, slot: Slot) -> dict[str, Any]:
        return self.objects[AUTOSCALER, slot_name(slot)]

    def sizes(self, slot: Slot) -> tuple[int, int, int]:
        """The autoscaler's minimum, the pods asked for, the ready ones."""
        deployment = self.deployment(slot)
        least = self.autoscaler(slot)["spec"]["minReplicas"]
        return least, deployment["spec"]["replicas"], deployment["status"]["readyReplicas"]

    def mark(self, slot: Slot) -> str | None:
        found: str | None = self.autoscaler(slot)["metadata"]["annotations"].get("ml-pipeline/raised")
        return found

    def tick(self) -> None:
        """Autoscalers look, then pods come and go."""
        for slot in SLOTS:
            spec, deployment = self.autoscaler(slot)["spec"], self.deployment(slot)
            within = max(spec["minReplicas"], min(self.recommended[slot], spec["maxReplicas"]))
            deployment["spec"]["replicas"] = within
            others = sum(self.deployment(one)["status"]["readyReplicas"] for one in SLOTS if one != slot)
            deployment["status"]["readyReplicas"] = min(within, self.room - others)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.tick()

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.seconds)

    def capacity(self, patience_s: float = 300.0, *, required: bool = True) -> Capacity:
        return Capacity(
            objects=self,
            namespace="ml-x",
            fix="pulumi up",
            say=self.said.append,
            patience_s=patience_s,
            required=required,
            sleep=self.sleep,
            clock=lambda: self.seconds,
            now=self.now,
        )
