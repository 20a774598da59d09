"""The pack's own answer to whether a stack accepts what a release rests on."""

import json

import pytest

from ml.release.record import canonical_bytes, parse, seal
from policies import waivers

TODAY = "2026-11-24"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
RECORD = "ml-pipeline/release-record"
OWN = {"owner": "platform team", "reason": "looked at by hand on 2026-11-20", "expires": "2026-12-31"}
WAIVER = {"rule": "scan", "of": "static", "owner": "me", "reason": "no source", "expires": "2027-06-30"}


@pytest.fixture
def resting(make_slot):
    """A slot whose record says that its verdict rests on a waiver."""
    slot = make_slot()
    annotations = slot["metadata"]["annotations"]
    record = dict(parse(annotations[RECORD].encode()))
    gate = dict(record["gate"])
    gate["checks"] = [{**check, "reason": "waived"} if check["rule"] == "scan" else check for check in gate["checks"]]
    gate["policy"] = {**gate["policy"], "waivers": [WAIVER]}
    annotations[RECORD] = canonical_bytes(seal({**record, "gate": gate})).decode()
    return slot


def asked(props, stack="prod", config=None, today=TODAY, kind=DEPLOYMENT):
    environ = {"PULUMI_STACK": stack, "PULUMI_CONFIG": json.dumps(config or {})}
    return waivers.violations(kind, props, environ, today)


@pytest.mark.parametrize("value", [{"scan/static": OWN}, json.dumps({"scan/static": OWN})])
def test_a_stack_may_accept_it_by_its_own_word(resting, value):
    assert asked(resting, config={"ml-pipeline:acceptWaivers": value}) == []


@pytest.mark.parametrize(
    ("stack", "config", "today", "words"),
    [
        ("prod", {}, TODAY, "covers none in production"),
        ("", {}, TODAY, "covers none in production"),
        ("staging", {}, "2027-07-01", "has expired"),
        ("prod", {"ml-pipeline:acceptWaivers": {"scan/static": {**OWN, "owner": ""}}}, TODAY, "who answers for it"),
        ("prod", {"ml-pipeline:acceptWaivers": {"scan/code": OWN}}, TODAY, "covers none in production"),
        ("prod", {"ml-pipeline:acceptWaivers": "[]"}, TODAY, "covers none in production"),
    ],
)
def test_what_the_stack_does_not_accept_is_a_violation(resting, stack, config, today, words):
    found = asked(resting, stack, config, today)

    assert any(words in line for line in found), found
    assert any("release example-0000, waiver of scan/static" in line for line in found)


def test_staging_accepts_what_names_no_stacks(resting):
    assert asked(resting, "staging") == []


def test_a_record_without_waivers_and_a_pod_without_a_record_are_no_violation(make_slot, make_pod):
    assert asked(make_slot()) == []
    assert asked(make_pod(), kind="kubernetes:core/v1:Pod") == []
    assert asked({"spec": {}}, kind="kubernetes:core/v1:Service") == []


def test_a_record_that_cannot_be_read_is_a_violation(make_slot):
    slot = make_slot()
    slot["metadata"]["annotations"][RECORD] = "{"

    assert "release record: ML-REL-101" in asked(slot)[0]


def test_an_unknown_record_is_left_to_the_model_gate(make_slot, unknown, analyze, monkeypatch):
    monkeypatch.setenv("PULUMI_STACK", "prod")
    slot = make_slot()
    slot["metadata"]["annotations"][RECORD] = unknown.text

    assert analyze("waivers-accepted", DEPLOYMENT, slot) == []
    assert analyze("model-gate", DEPLOYMENT, slot) != []


def test_the_pack_asks_it_with_what_the_engine_tells(resting, analyze, monkeypatch):
    monkeypatch.setenv("PULUMI_STACK", "prod")

    assert "waiver of scan/static" in analyze("waivers-accepted", DEPLOYMENT, resting)[0]
