"""Which slot is live, idle and shown in the preview."""

import pytest

from infra.slots import plan


def test_without_slots_there_is_no_plan():
    assert plan((), "blue") is None


@pytest.mark.parametrize(
    ("filled", "live", "expected"),
    [
        (("blue",), "blue", ("blue", None, "blue")),
        (("green",), "green", ("green", None, "green")),
        (("blue", "green"), "blue", ("blue", "green", "green")),
        (("blue", "green"), "green", ("green", "blue", "blue")),
    ],
)
def test_the_preview_shows_the_idle_slot_or_else_the_live_one(filled, live, expected):
    found = plan(filled, live)

    assert (found.live, found.idle, found.preview) == expected


def test_a_live_slot_that_holds_nothing_is_an_error():
    with pytest.raises(ValueError, match="green"):
        plan(("blue",), "green")
