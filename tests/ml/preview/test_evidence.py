import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.preview.evidence import candidate_of, champion_of, evidence_from, number, with_desired
from ml.preview.facts import Plan, Preview, Slot
from ml.preview.render import render
from ml.stack.slots import Held, State
from tests.ml.preview.facts import record


def _plan(before: dict[str, str], after: dict[str, str], live: tuple[str | None, str]) -> Plan:
    slots = tuple(Slot(name=n, before=before.get(n), after=after.get(n)) for n in ("blue", "green"))
    return Plan(slots=slots, live_before=live[0], live_after=live[1], state_read=True)


@pytest.mark.parametrize(
    ("before", "after", "live", "candidate"),
    [
        ({}, {"blue": "flights-0001"}, (None, "blue"), "flights-0001"),
        ({"blue": "f-0001"}, {"blue": "f-0001", "green": "f-0002"}, ("blue", "blue"), "f-0002"),
        ({"blue": "f-0001"}, {"blue": "f-0001", "green": "f-0002"}, ("blue", "green"), "f-0002"),
        ({"blue": "f-0001", "green": "f-0002"}, {"blue": "f-0001", "green": "f-0002"}, ("green", "blue"), "f-0001"),
        ({"blue": "f-0001"}, {"blue": "f-0001"}, ("blue", "blue"), "f-0001"),
        ({"blue": "f-0001"}, {"blue": "f-0002"}, ("blue", "blue"), "f-0002"),
        ({}, {}, (None, "blue"), None),
    ],
)
def test_the_candidate_is_what_gets_the_traffic_or_is_newly_staged(
    before: dict[str, str], after: dict[str, str], live: tuple[str | None, str], candidate: str | None
) -> None:
    assert candidate_of(_plan(before, after, live)) == candidate


def test_the_champion_is_what_is_live_now() -> None:
    plan = _plan({"blue": "f-0001", "green": "f-0002"}, {}, ("green", "blue"))

    assert champion_of(plan) == "f-0002"


def test_what_the_file_asks_for_wins_over_an_event_log_that_says_nothing() -> None:
    plan = with_desired(Plan(), State(slots={"green": Held(release="f-0002")}, live="green"))

    assert (plan.live_after, plan.release_of("green", after=True)) == ("green", "f-0002")


def test_a_stack_without_releases_has_no_live_slot() -> None:
    assert with_desired(Plan(), State()).live_after is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), wrong=_json)
def test_a_record_with_any_field_of_any_shape_is_shown(data: st.DataObject, wrong: object) -> None:
    fields = json.loads(record())
    spot: Any = fields
    key: Any = data.draw(st.sampled_from(sorted(fields)))
    while isinstance(spot[key], dict | list) and spot[key] and data.draw(st.booleans()):
        spot = spot[key]
        key = data.draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else list(range(len(spot)))))
    spot[key] = wrong

    evidence = evidence_from("flights-0002", json.dumps(fields).encode(), ["changed"])

    assert render(Preview(stack="staging", exit_code=0, plan=Plan(), candidate=evidence)).startswith("<!--")


@pytest.mark.parametrize("raw", [None, b"", b"\xff", b"[]", b"null", b"{", b'{"metrics": {"accuracy": NaN}}'])
def test_an_unreadable_record_is_no_evidence(raw: bytes | None) -> None:
    assert evidence_from("flights-0002", raw, ["broken"]).metrics == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.81, "0.8100"),
        (0.0, "0.0000"),
        (1e-7, "1e-07"),
        (123456.5, "1.23e+05"),
        (1000, "1,000"),
        (True, "True"),
        (None, "-"),
        ("NaN", "NaN"),
        (float("inf"), "inf"),
        pytest.param(10**5000, "a number beyond 10^15", id="beyond-str"),
        ({"a": 1}, "dict"),
    ],
)
def test_a_number_is_short_and_never_misleading(value: object, text: str) -> None:
    assert number(value) == text
