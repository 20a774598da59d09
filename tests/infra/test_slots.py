"""Which slot is live, idle and shown in the preview."""

import pytest

from infra.settings import SlotSettings
from infra.slots import plan

ONE, TWO = SlotSettings(release="flights-0001"), SlotSettings(release="flights-0002")


def test_without_slots_there_is_no_plan():
    assert plan({}, "blue") is None


@pytest.mark.parametrize(
    ("slots", "live", "expected"),
    [
        ({"blue": ONE}, "blue", ("blue", None, "blue")),
        ({"green": ONE}, "green", ("green", None, "green")),
        ({"blue": ONE, "green": TWO}, "blue", ("blue", "green", "green")),
        ({"blue": ONE, "green": TWO}, "green", ("green", "blue", "blue")),
    ],
)
def test_the_preview_shows_the_idle_slot_or_else_the_live_one(slots, live, expected):
    found = plan(slots, live)

    assert (found.live, found.idle, found.preview) == expected


def test_a_live_slot_that_holds_nothing_is_an_error():
    with pytest.raises(ValueError, match="green"):
        plan({"blue": ONE}, "green")
