from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.names import SLOTS, Slot
from ml.errors import ConfigError, GateError
from ml.stack.slots import Held, Running, State, other, pinned, roll_back, stage

IMAGE = "127.0.0.1:5000/ml-pipeline/serving@sha256:" + "a" * 64
ONE, TWO, THREE = (Held(release=f"flights-000{n}") for n in (1, 2, 3))
ONE_BUILT = Held(release="flights-0001", image=IMAGE)


def state(live: Slot = "blue", **slots: Held) -> State:
    return State(slots={slot: slots[slot] for slot in SLOTS if slot in slots}, live=live)


def test_the_first_release_is_live_at_once() -> None:
    assert stage(state(), ONE, None, take_traffic=False) == state(blue=ONE)


def test_a_new_release_goes_into_the_idle_slot_and_takes_the_traffic() -> None:
    assert stage(state(blue=ONE), TWO, None, take_traffic=True) == state("green", blue=ONE, green=TWO)


def test_another_release_in_the_idle_slot_or_a_switch_ends_a_weighted_step() -> None:
    step = State(slots={"blue": ONE, "green": TWO}, live="blue", weight=5)

    assert stage(step, TWO, None, take_traffic=True).weight == 0
    assert stage(step, THREE, None, take_traffic=False).weight == 0
    assert stage(step, ONE, None, take_traffic=True) == step  # live already


def test_it_can_wait_in_the_idle_slot() -> None:
    waiting = stage(state(blue=ONE), TWO, None, take_traffic=False)

    assert waiting == state("blue", blue=ONE, green=TWO)
    assert stage(waiting, TWO, None, take_traffic=True) == state("green", blue=ONE, green=TWO)


def test_staging_what_is_live_changes_nothing() -> None:
    assert stage(state(blue=ONE_BUILT), ONE, None, take_traffic=True) == state(blue=ONE_BUILT)


def test_the_image_that_the_live_slot_runs_is_written_down() -> None:
    running = Running(live="blue", slots={"blue": ONE_BUILT})

    assert stage(state(blue=ONE), TWO, running, take_traffic=True) == state("green", blue=ONE_BUILT, green=TWO)


def test_an_image_of_another_release_is_not() -> None:
    running = Running(live="blue", slots={"blue": Held(release="flights-0009", image=IMAGE)})

    assert stage(state(blue=ONE), TWO, running, take_traffic=True).slots["blue"] == ONE
    assert pinned(ONE, None) == ONE


def test_a_slot_that_still_takes_traffic_is_never_overwritten() -> None:
    running = Running(live="blue", slots={"blue": ONE_BUILT, "green": TWO})

    with pytest.raises(GateError) as refused:
        stage(state("green", blue=ONE, green=TWO), THREE, running, take_traffic=True)
    assert refused.value.code == "ML-REL-010"


def test_what_takes_the_traffic_may_be_staged_again() -> None:
    running = Running(live="blue", slots={"blue": ONE_BUILT, "green": TWO})

    assert stage(state("green", blue=ONE, green=TWO), ONE, running, take_traffic=True).live == "blue"


def test_the_same_release_with_another_image_goes_into_the_idle_slot() -> None:
    rebuilt = Held(release="flights-0001", image=IMAGE.replace("a" * 64, "b" * 64))

    assert stage(state(blue=ONE_BUILT), rebuilt, None, take_traffic=True) == state(
        "green", blue=ONE_BUILT, green=rebuilt
    )


def test_rolling_back_moves_live_only_and_pins_the_image() -> None:
    running = Running(live="green", slots={"blue": ONE_BUILT, "green": TWO})

    assert roll_back(state("green", blue=ONE, green=TWO), running) == state("blue", blue=ONE_BUILT, green=TWO)
    step = replace(state("green", blue=ONE, green=TWO), weight=5)
    assert roll_back(step, running).weight == 0


@pytest.mark.parametrize(
    ("before", "code"), [(state(blue=ONE), "ML-REL-011"), (state("green", blue=ONE, green=TWO), "ML-REL-012")]
)
def test_without_an_earlier_release_or_its_image_there_is_no_rollback(before: State, code: str) -> None:
    with pytest.raises(ConfigError) as refused:
        roll_back(before, None)
    assert refused.value.code == code
    assert "mlp release stage" in refused.value.fix


HELD = st.sampled_from([ONE, TWO, THREE, ONE_BUILT])
STATES = st.builds(
    lambda slots, live: State(slots=slots, live=live if live in slots or not slots else next(iter(slots))),
    st.dictionaries(st.sampled_from(SLOTS), HELD),
    st.sampled_from(SLOTS),
)


@given(before=STATES, held=HELD, take_traffic=st.booleans())
def test_staging_twice_is_staging_once_and_what_was_live_stays(
    *, before: State, held: Held, take_traffic: bool
) -> None:
    after = stage(before, held, None, take_traffic=take_traffic)

    assert stage(after, held, None, take_traffic=take_traffic) == after
    assert after.live in after.slots
    assert before.live_held is None or after.slots[before.live] == before.live_held
    assert other(other(after.live)) == after.live
