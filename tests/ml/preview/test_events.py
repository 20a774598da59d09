import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.preview.events import UNKNOWN_UNTIL_APPLIED, plan_from
from ml.preview.facts import Change, Note, Plan
from tests.ml.preview.facts import log


def _change(plan: Plan, name: str) -> Change:
    return next(change for change in plan.changes if change.name == name)


def test_the_switch_of_the_live_service_comes_first() -> None:
    plan = plan_from(log("moves"))

    assert (plan.changes[0].impact, plan.changes[0].name) == ("traffic", "model")
    assert plan.changes[0].notes == (Note(field="slot", before="blue", after="green"),)
    assert (plan.live_before, plan.live_after) == ("blue", "green")


def test_a_replacement_is_one_change_and_not_three() -> None:
    plan = plan_from(log("moves"))
    counts = {op: sum(1 for change in plan.changes if change.operation == op) for op in ("create", "replace", "delete")}

    assert counts == {"create": 2, "replace": 2, "delete": 1}


def test_providers_and_the_stack_are_not_counted_as_resources() -> None:
    assert plan_from(log("moves")).unchanged == 2


def test_replacing_what_holds_data_is_pointed_out() -> None:
    assert _change(plan_from(log("moves")), "auth").impact == "data"


def test_an_image_that_is_not_built_yet_is_known_while_applying() -> None:
    notes = {note.field: note.after for note in _change(plan_from(log("moves")), "model-green").notes}

    assert notes["image of model"] == UNKNOWN_UNTIL_APPLIED


def test_a_policy_that_could_not_be_evaluated_is_not_a_pass() -> None:
    levels = {finding.policy: finding.level for finding in plan_from(log("moves")).findings}

    assert levels == {"replicas": "advisory", "image-digest": "unchecked"}


def test_a_mandatory_violation_is_read_with_its_message() -> None:
    finding = next(f for f in plan_from(log("refused")).findings if f.level == "mandatory")

    assert (finding.policy, finding.resource) == ("model-gate", "model")
    assert "verdict is fail" in finding.message


def test_a_program_that_refuses_gives_one_error_and_no_slots() -> None:
    plan = plan_from(log("raised"))

    assert plan.errors == (
        "release flights-0002: ML-REL-110: gate.verdict='fail': only a release that passed may be used",
    )
    assert not plan.state_read


def test_no_value_of_a_secret_or_a_config_map_leaves_the_plan() -> None:
    spoiled = log("moves").replace("[secret]", "hunter2").replace('"data": {"a": "2"}', '"data": {"a": "hunter2"}')
    assert "hunter2" in spoiled

    assert "hunter2" not in json.dumps(asdict(plan_from(spoiled)))


def test_a_torn_line_is_an_error_of_the_preview() -> None:
    assert "not JSON" in plan_from('{"summaryEvent": {').errors[0]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
_states = st.none() | st.fixed_dictionaries({}, optional={"inputs": _json, "custom": st.booleans(), "type": _json})
_events = st.fixed_dictionaries(
    {},
    optional={
        "resourcePreEvent": st.fixed_dictionaries(
            {
                "metadata": _json
                | st.fixed_dictionaries(
                    {"op": _json | st.just("update"), "urn": _json | st.text(max_size=5)},
                    optional={"type": _json, "old": _states, "new": _states, "detailedDiff": _json},
                )
            }
        ),
        "policyEvent": _json,
        "summaryEvent": _json,
        "diagnosticEvent": _json,
    },
)


@settings(max_examples=80, deadline=None)
@given(st.lists(_events | _json, max_size=5))
def test_no_event_log_raises(events: list[object]) -> None:
    plan_from("\n".join(json.dumps(event) for event in events))


@pytest.mark.parametrize("text", ["", "\n\n", "null", "[]", "{", "[" * 100_000])
def test_an_empty_or_broken_log_is_an_empty_plan(text: str) -> None:
    assert plan_from(text).changes == ()
