"""The slot that gets the traffic becomes as big as the one that loses it, or the traffic stays."""

import pytest

from ml.delivery.capacity import FORBIDDEN_S, hand_back
from ml.delivery.traffic import selected
from ml.errors import GateError
from tests.ml.delivery.slots import Slots

QUOTA = 'pods "model-green-x" is forbidden: exceeded quota: quota, requested: limits.cpu=1, limited: limits.cpu=40'
NODES = "0/1 nodes are available: 1 Insufficient cpu."


async def test_the_target_gets_as_many_pods_as_serve_and_its_autoscaler_keeps_them() -> None:
    slots = Slots(serves=6)

    await slots.capacity().match("blue", "green")

    assert slots.sizes("green") == (6, 6, 6)
    for _ in range(5):
        slots.tick()
    assert slots.sizes("green") == (6, 6, 6)
    assert slots.sizes("blue") == (3, 6, 6)
    assert [line for line in slots.said if "3 of 6 pods are ready" in line]


async def test_control_a_scale_alone_is_undone_at_the_autoscaler_s_next_look() -> None:
    """Why the minimum is raised; what `match` would leave behind if it did not."""
    slots = Slots(serves=6)

    slots.patch("deployment", "model-green", [{"op": "replace", "path": "/spec/replicas", "value": 6}])
    slots.tick()

    assert slots.sizes("green") == (3, 3, 3)


@pytest.mark.parametrize(
    "slots", [Slots(serves=3), Slots(serves=2), Slots(serves=0)], ids=["as big", "smaller", "dead"]
)
async def test_a_target_that_is_big_enough_costs_no_request_to_change_anything(slots: Slots) -> None:
    await slots.capacity().match("blue", "green")

    assert (slots.patched, slots.seconds, slots.said) == ([], 0.0, [])


async def test_pods_that_the_minimum_sees_to_are_waited_for_and_nothing_is_raised() -> None:
    slots = Slots(serves=3)
    slots.deployment("green")["status"]["readyReplicas"] = 1

    await slots.capacity().match("blue", "green")

    assert slots.sizes("green") == (3, 3, 3)
    assert (slots.patched, slots.mark("green")) == ([], None)
    assert not [line for line in slots.said if "keeps" in line]


async def test_without_autoscalers_both_have_the_configured_number() -> None:
    slots = Slots(serves=6)
    for slot in ("blue", "green"):
        del slots.objects["horizontalpodautoscaler", f"model-{slot}"]

    await slots.capacity().match("blue", "green")

    assert slots.patched == []


async def test_a_slot_that_has_not_shrunk_yet_is_kept_from_it_and_not_waited_for() -> None:
    slots = Slots(serves=6)
    slots.deployment("green")["spec"]["replicas"] = slots.deployment("green")["status"]["readyReplicas"] = 6

    await slots.capacity().match("blue", "green")

    assert slots.sizes("green") == (6, 6, 6)
    assert slots.seconds == 0.0


async def test_a_lowered_maximum_bounds_what_is_asked_for() -> None:
    slots = Slots(serves=6, most=4)

    await slots.capacity().match("blue", "green")

    assert slots.sizes("green") == (4, 4, 4)


async def test_the_first_annotation_of_an_autoscaler_is_written_too() -> None:
    slots = Slots(serves=6)
    del slots.autoscaler("green")["metadata"]["annotations"]

    await slots.capacity().match("blue", "green")

    assert slots.mark("green") is not None


async def test_the_mark_says_when_the_slot_was_ready_and_not_when_it_began_to_grow() -> None:
    slots = Slots(serves=6, room=9)

    async def sleep(seconds: float) -> None:
        slots.room = 99 if slots.seconds > 200 else 9
        await Slots.sleep(slots, seconds)

    slots.sleep = sleep  # type: ignore[method-assign]
    await slots.capacity().match("blue", "green")

    assert slots.seconds > 200
    assert slots.mark("green") == slots.now().isoformat()


def hinder(slots: Slots, kind: str) -> None:
    """No room, and what the cluster says about it."""
    slots.room = 10
    if kind == "quota":
        condition = {"type": "ReplicaFailure", "status": "True", "message": QUOTA}
        slots.deployment("green")["status"]["conditions"] = [condition]
    elif kind == "nodes":
        condition = {"type": "PodScheduled", "status": "False", "message": NODES}
        slots.objects["pod", "model-green-x"] = {
            "metadata": {"labels": {"ml-pipeline/slot": "green"}},
            "status": {"conditions": [condition]},
        }


@pytest.mark.parametrize(
    ("kind", "words", "after_s"),
    [
        ("quota", "exceeded quota: quota, requested: limits.cpu=1", FORBIDDEN_S),
        ("nodes", "0/1 nodes are available: 1 Insufficient cpu.", 60.0),
        ("silence", "its pods have nodes and are not ready", 60.0),
    ],
)
async def test_without_room_it_is_refused_and_nothing_more_is_asked_for_than_before(
    kind: str, words: str, after_s: float
) -> None:
    slots = Slots(serves=6)
    hinder(slots, kind)

    with pytest.raises(GateError) as caught:
        await slots.capacity(patience_s=60.0).match("blue", "green")

    assert caught.value.code == "ML-GATE-212"
    assert "deployment model-green: 4 pods are ready" in caught.value.message
    assert "must be the 6 that slot blue serves with" in caught.value.message
    assert words in caught.value.message
    assert "kubectl -n ml-x describe quota,deployment/model-green" in caught.value.fix
    assert caught.value.fix.endswith("then pulumi up")
    assert slots.seconds == pytest.approx(after_s, abs=1.5)
    slots.tick()
    assert slots.sizes("green") == (3, 3, 3)
    assert slots.sizes("blue") == (3, 6, 6)


async def test_control_with_room_the_same_slots_are_not_refused() -> None:
    slots = Slots(serves=6, room=12)

    await slots.capacity(patience_s=60.0).match("blue", "green")

    assert slots.sizes("green") == (6, 6, 6)


async def test_a_quota_that_is_free_again_in_time_refuses_nothing() -> None:
    slots = Slots(serves=6)
    hinder(slots, "quota")

    async def sleep(seconds: float) -> None:
        if slots.seconds > FORBIDDEN_S / 2:
            slots.room = 99
            slots.deployment("green")["status"]["conditions"] = []
        await Slots.sleep(slots, seconds)

    slots.sleep = sleep  # type: ignore[method-assign]
    await slots.capacity().match("blue", "green")

    assert slots.sizes("green") == (6, 6, 6)


async def test_a_slot_that_is_deleted_meanwhile_is_refused() -> None:
    slots = Slots(serves=6, room=9)

    async def sleep(seconds: float) -> None:
        slots.seconds += seconds
        slots.objects.pop(("horizontalpodautoscaler", "model-green"), None)

    slots.sleep = sleep  # type: ignore[method-assign]

    with pytest.raises(GateError, match=r"ML-GATE-212.*it is gone"):
        await slots.capacity().match("blue", "green")


def live(slots: Slots) -> str | None:
    return selected(slots.one("service", "model"))


@pytest.mark.parametrize(("at_once", "pods"), [(False, 6), (True, 3)])
async def test_a_rollback_makes_the_earlier_slot_as_big_first_unless_told_not_to_wait(
    *, at_once: bool, pods: int
) -> None:
    slots = Slots(serves=6)

    assert await hand_back(slots.capacity(), "green", at_once=at_once)

    assert (live(slots), slots.sizes("green")[2]) == ("green", pods)


async def test_a_rollback_without_room_waits_a_little_and_moves_the_traffic_all_the_same() -> None:
    slots = Slots(serves=6, room=9)

    assert await hand_back(slots.capacity(20.0, required=False), "green", at_once=False)

    assert (live(slots), slots.sizes("green")) == ("green", (6, 6, 3)), "it goes on asking for as many"
    assert slots.seconds <= 20
    assert "slot green: 3 pods are ready after" in slots.said[-1]


async def test_a_rollback_from_a_slot_that_is_dead_waits_for_nothing() -> None:
    slots = Slots(serves=6)
    slots.deployment("blue")["status"]["readyReplicas"] = 0

    assert await hand_back(slots.capacity(), "green", at_once=False)

    assert (live(slots), slots.seconds) == ("green", 0.0)


async def test_a_rollback_to_a_slot_without_pods_is_refused_at_once() -> None:
    slots = Slots(serves=6)
    slots.deployment("green")["status"]["readyReplicas"] = 0

    with pytest.raises(GateError, match="ML-LIVE-001"):
        await hand_back(slots.capacity(), "green", at_once=False)
    assert (live(slots), slots.seconds, slots.sizes("green")[0]) == ("blue", 0.0, 3)


async def test_a_second_rollback_to_the_same_slot_changes_nothing() -> None:
    slots = Slots(serves=6)
    await hand_back(slots.capacity(), "green", at_once=False)
    before = list(slots.patched)

    assert not await hand_back(slots.capacity(), "green", at_once=False)
    assert slots.patched == before
