"""What was live when: the chain of entries, and every way to change it behind its back."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.release.ledger import BEGIN, Entry, Live, at, following, read

ONE = Live(release="flights-0001", record_digest="1" * 64, made="2013-07-01T00:00:00Z", image="i@sha256:1",
           slot="blue", who="me", commit="c" * 40)  # fmt: skip
TWO = replace(ONE, release="flights-0002", record_digest="2" * 64, made="2013-08-01T00:00:00Z", slot="green")
THREE = replace(ONE, release="flights-0003", record_digest="3" * 64, made="2013-09-01T00:00:00Z")


def day(number: int) -> str:
    return f"2026-01-{number:02d}T12:00:00Z"


def ledger(*lives: Live) -> list[Entry]:
    entries: list[Entry] = []
    for number, live in enumerate(lives, start=1):
        entry = following(entries, "staging", live, day(number))
        assert entry is not None
        entries.append(entry)
    return entries


def kept(entries: list[Entry]) -> list[dict[str, Any]]:
    return [json.loads(json.dumps(entry.to_json())) for entry in entries]


WHOLE = ledger(ONE, TWO, ONE, THREE)


def test_entries_count_up_and_name_the_one_before() -> None:
    assert [entry.seq for entry in WHOLE] == [1, 2, 3, 4]
    assert [entry.previous for entry in WHOLE] == [BEGIN, *(entry.hash for entry in WHOLE[:-1])]
    assert read(kept(WHOLE), "staging") == (WHOLE, [])


def test_going_back_to_an_earlier_release_is_a_rollback_and_going_on_is_not() -> None:
    again = ledger(ONE, TWO, ONE, TWO)

    assert [entry.event for entry in WHOLE] == ["live", "live", "rolled-back", "live"]
    assert [entry.event for entry in again] == ["live", "live", "rolled-back", "live"]


def test_what_is_written_already_is_not_written_again() -> None:
    assert following(WHOLE, "staging", THREE, day(9)) is None
    assert following(WHOLE, "staging", replace(THREE, who="you", commit=None), day(9)) is None
    assert following(WHOLE, "staging", replace(THREE, image="i@sha256:2"), day(9)) is not None


def test_a_clock_that_is_behind_puts_nothing_before_what_is_there() -> None:
    entry = following(WHOLE, "staging", ONE, day(1))

    assert entry is not None
    assert entry.time == WHOLE[-1].time
    assert read(kept([*WHOLE, entry]), "staging")[1] == []


@pytest.mark.parametrize(
    ("moment", "release"),
    [
        ("2026-01-01T11:59:59Z", None),
        (day(1), "flights-0001"),
        ("2026-01-02T11:59:59Z", "flights-0001"),
        (day(2), "flights-0002"),
        (day(3), "flights-0001"),
        ("2030-01-01T00:00:00Z", "flights-0003"),
    ],
)
def test_the_ledger_tells_what_was_live_at_a_time(moment: str, release: str | None) -> None:
    entry = at(WHOLE, moment)

    assert (entry.release if entry else None) == release


def _set(index: int, **changes: Any) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda contents: contents[index].update(changes)


TAMPERED: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "another release": _set(1, release="flights-0009"),
    "another time": _set(1, time="2026-01-02T13:00:00Z"),
    "another person": _set(0, who="you"),
    "an entry taken out": lambda contents: contents.pop(1),
    "the first taken out": lambda contents: contents.pop(0),
    "an entry twice": lambda contents: contents.append(dict(contents[1])),
    "two exchanged": lambda contents: (contents[1].update(seq=3), contents[2].update(seq=2)),
    "another stack's": _set(3, stack="prod"),
    "a time before the last": _set(3, time="2026-01-01T00:00:00Z"),
    "an unknown field": _set(3, note="x"),
    "a missing field": lambda contents: contents[3].pop("who"),
    "no entry": lambda contents: contents.append(None),
    "an event of its own": _set(3, event="trust me"),
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_ledger_that_was_changed_says_so(tamper: Callable[[list[dict[str, Any]]], Any]) -> None:
    contents = kept(WHOLE)
    tamper(contents)

    problems = read(contents, "staging")[1]

    assert problems
    assert {problem.code for problem in problems} == {"ML-REL-150"}


def test_order_does_not_matter_and_a_cut_end_shows_only_in_the_hash() -> None:
    """Stated, because it is the one change that the chain alone cannot show."""
    assert read(list(reversed(kept(WHOLE))), "staging") == (WHOLE, [])

    short, problems = read(kept(WHOLE[:-1]), "staging")
    assert problems == []
    assert short[-1].hash != WHOLE[-1].hash


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(WHOLE[0].to_json())), st.integers(0, 2), JSON)
def test_no_other_value_in_an_entry_goes_unseen_or_raises(name: str, index: int, value: Any) -> None:
    contents = kept(WHOLE)
    before = contents[index][name]
    contents[index][name] = value

    assert value == before or read(contents, "staging")[1]
