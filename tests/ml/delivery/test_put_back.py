"""A minimum that a switch raised goes back, whoever was killed; one that a person raised stays."""

from typing import Any

import pytest

from ml.delivery.capacity import HOLD_S
from tests.ml.delivery.slots import Slots


async def raised() -> Slots:
    """Green has been made as big as blue, and has the traffic."""
    slots = Slots(serves=6)
    await slots.capacity().match("blue", "green")
    slots.live("green")
    return slots


async def test_the_minimum_goes_back_once_the_load_has_shown_and_not_before() -> None:
    slots = await raised()
    capacity = slots.capacity()

    assert capacity.put_back("green", 3) == HOLD_S
    assert slots.sizes("green")[0] == 6
    slots.seconds += HOLD_S
    assert capacity.put_back("green", 3) is None
    assert (slots.sizes("green")[0], slots.mark("green")) == (3, None)
    # Its autoscaler has seen the load by then: it stays as big as that needs.
    slots.recommended["green"] = 6
    slots.tick()
    assert slots.sizes("green") == (3, 6, 6)


async def test_to_wait_for_it_ends_with_the_minimum_back() -> None:
    slots = await raised()
    began = slots.seconds

    await slots.capacity().put_back_in_time("green", 3)

    assert (slots.sizes("green")[0], slots.mark("green"), slots.seconds) == (3, None, began + HOLD_S)
    assert [line for line in slots.said if "in 120 s, when it has seen the load" in line]


async def test_again_and_where_nothing_was_raised_nothing_is_done() -> None:
    slots = await raised()
    slots.seconds += HOLD_S
    capacity = slots.capacity()
    capacity.put_back("green", 3)
    before = list(slots.patched)

    assert [capacity.put_back(slot, 3) for slot in ("blue", "green")] == [None, None]
    del slots.objects["horizontalpodautoscaler", "model-green"]
    assert capacity.put_back("green", 3) is None
    assert slots.patched == before


async def test_a_minimum_that_a_person_raised_stays() -> None:
    slots = Slots(serves=6)
    slots.autoscaler("blue")["spec"]["minReplicas"] = 5

    assert slots.capacity().put_back("blue", 3) is None
    assert slots.sizes("blue")[0] == 5


async def test_one_that_was_raised_again_in_between_stays_raised() -> None:
    slots = await raised()
    slots.seconds += HOLD_S

    def again() -> None:
        slots.autoscaler("green")["metadata"]["annotations"]["ml-pipeline/raised"] = slots.now().isoformat()

    slots.before_patch.append(again)
    slots.capacity().put_back("green", 3)

    assert slots.sizes("green")[0] == 6


class KilledError(Exception):
    """The update is no more."""


def killed_at(step: int) -> list[Any]:
    """What happens before each of the next patches: at the nth, the update is killed."""

    def kill() -> None:
        raise KilledError

    return [*[lambda: None] * step, kill]


@pytest.mark.parametrize("step", range(3))
async def test_killed_before_any_of_its_requests_the_next_update_puts_things_right(step: int) -> None:
    """Minimum, scale, mark: whichever was the last, then a start of the next update, then its gate, then its end."""
    slots = Slots(serves=6)
    slots.before_patch = killed_at(step)
    with pytest.raises(KilledError):
        await slots.capacity().match("blue", "green")
    slots.before_patch = []

    capacity = slots.capacity()
    for slot in ("blue", "green"):
        capacity.put_back(slot, 3)
    await capacity.match("blue", "green")
    assert slots.sizes("green") == (6, 6, 6)
    await capacity.put_back_in_time("green", 3)

    assert (slots.sizes("green")[0], slots.mark("green")) == (3, None)
    assert slots.sizes("blue") == (3, 6, 6)
