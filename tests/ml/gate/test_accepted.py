"""Which stack accepts which waiver: every rule, both forms of a policy, and that nothing unknown is accepted."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.gate.accepted import (
    MAX_DAYS,
    NOT_PRODUCTION,
    Acceptance,
    acceptances,
    how_to_accept,
    is_production,
    refusal,
    refusals,
    rests_on,
    waived,
)

TODAY = "2026-11-24"
WORDS = {"owner": "platform team", "reason": "no advisories reach this network", "expires": "2027-06-30"}
OWN = {"scan/dependencies": {**WORDS, "expires": "2026-12-31"}}


def record(*waivers: dict[str, Any], reason: str = "waived") -> Any:
    check = {"rule": "scan", "name": "dependencies", "outcome": "pass", "reason": reason}
    return {
        "release": "a-0001",
        "gate": {
            "checks": [check, {"rule": "scan", "name": "code", "outcome": "pass", "reason": "ok"}],
            "policy": {"waivers": list(waivers)},
        },
    }


def waiver(**changes: Any) -> dict[str, Any]:
    return {"rule": "scan", "of": "dependencies", **WORDS, **changes}


def own(**changes: str) -> tuple[Acceptance, ...]:
    return (Acceptance(about="scan/dependencies", **{**OWN["scan/dependencies"], **changes}),)


ACCEPTED = {
    "staging, no stacks named": (record(waiver()), "staging", ()),
    "a feature's staging": (record(waiver()), "staging-eu", ()),
    "on its last day": (record(waiver(expires=TODAY)), "staging", ()),
    "prod, named": (record(waiver(stacks=["prod"])), "prod", ()),
    "one of two waivers is enough": (record(waiver(), waiver(stacks=["prod"])), "prod", ()),
    "prod by its own word": (record(waiver()), "prod", own()),
    "by its own word after the policy's has expired": (record(waiver(expires="2026-01-01")), "staging", own()),
    "own word on its last day": (record(waiver()), "prod", own(expires=TODAY)),
    "nothing is waived": (record(waiver(), reason="ok"), "prod", ()),
}
REFUSED = {
    "prod, no stacks named": (record(waiver()), "prod", (), "names no stacks, so it covers none in production"),
    "a stack of an unknown name": (record(waiver()), "live-eu", (), "covers none in production"),
    "no name at all": (record(waiver()), "", (), "covers none in production"),
    "another stack named": (record(waiver(stacks=["staging"])), "prod", (), "covers staging"),
    "staging, prod named": (record(waiver(stacks=["prod"])), "staging", (), "covers prod"),
    "no stack in the list": (record(waiver(stacks=[])), "staging", (), "covers no stack"),
    "expired since": (record(waiver(expires="2026-11-23")), "staging", (), "has expired"),
    "no expiry": (record(waiver(expires=None)), "staging", (), "has expired"),
    "an expiry that is no day": (record(waiver(expires="soon")), "staging", (), "has expired"),
    "expired, named": (record(waiver(expires="2026-11-23", stacks=["prod"])), "prod", (), "has expired"),
    "own word has expired": (record(waiver()), "prod", own(expires="2026-11-23"), "has expired on '2026-11-23'"),
    "own word for too long": (record(waiver()), "prod", own(expires="2027-06-30"), "for more than 92 days"),
    "own word on another scan": (
        record(waiver()),
        "prod",
        (Acceptance(about="scan/code", **OWN["scan/dependencies"]),),
        "covers none in production",
    ),
    "no waiver is about it": (record(waiver(of="code")), "staging", (), "no waiver in its policy"),
    "no policy": ({**record(), "gate": {"checks": record()["gate"]["checks"]}}, "staging", (), "no waiver in its"),
}


@pytest.mark.parametrize(("of", "stack", "accepted"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_waiver_holds_where_it_says(of: Any, stack: str, accepted: tuple[Acceptance, ...]) -> None:
    assert refusals(of, stack, accepted, TODAY) == []


@pytest.mark.parametrize(("of", "stack", "accepted", "why"), REFUSED.values(), ids=REFUSED)
def test_a_waiver_holds_nowhere_else(of: Any, stack: str, accepted: tuple[Acceptance, ...], why: str) -> None:
    found = refusals(of, stack, accepted, TODAY)

    assert [about for about, _ in found] == ["scan/dependencies"]
    assert why in found[0][1]


def test_the_message_names_release_waiver_stack_reason_and_what_to_write() -> None:
    found = refusals(record(waiver()), "prod", (), TODAY)

    message = refusal("a-0001", "prod", found)
    assert all(word in message for word in ("a-0001", "'prod'", "scan/dependencies", "'platform team'", "'2027-06-30'"))
    assert "Pulumi.prod.yaml" in how_to_accept("prod", found)
    assert "'ml-pipeline:acceptWaivers: {scan/dependencies: {owner: " in how_to_accept("prod", found)


def test_what_a_running_release_rests_on_is_told_with_whose_word_it_is() -> None:
    assert rests_on(record(waiver()), "staging", (), TODAY) == [{"about": "scan/dependencies", "by": "policy", **WORDS}]
    assert rests_on(record(waiver()), "prod", own(), TODAY) == [
        {"by": "stack", "about": "scan/dependencies", **OWN["scan/dependencies"]}
    ]
    assert rests_on(record(waiver(), reason="ok"), "prod", own(), TODAY) == []


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"dependencies": OWN["scan/dependencies"]}, "dependencies"),
        ({"scan/dependencies": "yes"}, "scan/dependencies"),
        ({"scan/dependencies": {**WORDS, "owner": " "}}, "scan/dependencies.owner"),
        ({"scan/dependencies": {**WORDS, "reason": "because"}}, "scan/dependencies.reason"),
        ({"scan/dependencies": {**WORDS, "expires": "2026-2-3"}}, "scan/dependencies.expires"),
        ({"scan/dependencies": {**WORDS, "expires": 20261231}}, "scan/dependencies.expires"),
        ({"scan/dependencies": {**WORDS, "stacks": []}}, "scan/dependencies.stacks"),
        ({"": "x"}, ""),
    ],
)
def test_an_acceptance_needs_owner_reason_and_a_day(value: Any, path: str) -> None:
    found, faults = acceptances(value)

    assert found == ()
    assert path in [fault.path for fault in faults]


def test_a_whole_acceptance_is_taken_as_it_is() -> None:
    assert acceptances(OWN) == (own(), [])
    assert acceptances({}) == ((), [])


@pytest.mark.parametrize("stack", [*NOT_PRODUCTION, "dev-anna"])
def test_known_names_are_not_production(stack: str) -> None:
    assert not is_production(stack)


@pytest.mark.parametrize("stack", ["prod", "production", "prod-eu", "live", "stagingx", "", "main"])
def test_every_other_name_is_production(stack: str) -> None:
    assert is_production(stack)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON, JSON)
def test_no_record_makes_it_raise_and_what_is_waived_without_a_waiver_is_refused(
    checks: Any, policy: Any, scans: Any
) -> None:
    for gate in (
        checks,
        {"checks": checks, "policy": policy},
        {"checks": checks, "policy": {"waivers": scans, "scans": policy}},
    ):
        refusals({"gate": gate}, "staging", (), TODAY)
        rests_on({"gate": gate}, "staging", (), TODAY)
    broken = {"gate": {"checks": [{"rule": "scan", "name": "x", "reason": "waived"}], "policy": policy}}
    assert waived(broken) == ["scan/x"]
    assert refusals(broken, "staging", (), TODAY) != []


@given(days=st.integers(-400, 400), stack=st.sampled_from(["prod", "live", "main"]))
def test_production_accepts_by_its_own_word_within_a_quarter_and_never_longer(days: int, stack: str) -> None:
    expires = (date.fromisoformat(TODAY) + timedelta(days=days)).isoformat()

    assert (refusals(record(waiver()), stack, own(expires=expires), TODAY) == []) == (0 <= days <= MAX_DAYS)
