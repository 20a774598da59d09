"""Waiting that says what it waited for, and what it saw instead."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def until(
    what: str, look: Callable[[], Seen], good: Callable[[Seen], bool], deadline_s: float, every_s: float = 1.0
) -> Seen:
    """Look again and again until it is good; what was seen then.

    Raises:
        AssertionError: It was not by the deadline.
    """
    end = time.monotonic() + deadline_s
    while not good(seen := look()):
        assert time.monotonic() < end, f"{what}: not within {deadline_s:g} s; last seen: {seen!r}"
        time.sleep(every_s)
    return seen
