"""The weighted step in the whole program: what the route is, in which order things happen, and that it is off."""

import copy
import hashlib
import json
from pathlib import Path

import jsonschema
import pytest

from infra.settings import parse
from tests.infra.test_program import selected
from tests.infra.test_settings import ROUTE

SCHEMA = Path(__file__).parent / "gateway/httproute-v1.json"
SCHEMA_DIGEST = "sha256:7c13b563e67374c322567374de70d0e88502b8a6ecd0b07572b70b295adf6301"
KIND = "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute"


@pytest.fixture
def two(recorded):
    """The program of a stack with two releases, blue live; arguments are the canary's settings."""

    def run(live="blue", **canary):
        config = {"canary": json.dumps(canary)} if canary else {}
        return recorded(green="flights-0002", live=live, **config)

    return run


def route_of(done):
    (found,) = [one for one in done if one.type == KIND]
    return found


def weights(done):
    (rule,) = route_of(done).inputs["spec"]["rules"]
    return {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}


def closed(schema):
    """The schema with every object closed: the API server drops what it does not know, and that would be a typo."""
    if isinstance(schema, dict):
        more = {"additionalProperties": False} if "properties" in schema else {}
        return {**more, **{key: closed(value) for key, value in schema.items()}}
    return [closed(one) for one in schema] if isinstance(schema, list) else schema


def judge(manifest):
    """Against the schema of the Gateway API's own CRD; what the API server adds by itself is left out."""
    raw = SCHEMA.read_bytes()
    assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == SCHEMA_DIGEST
    schema = closed(json.loads(raw)["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    jsonschema.Draft202012Validator(schema).validate(manifest)


def test_it_is_off_unless_a_gateway_is_named_and_then_nothing_is_there(two):
    assert parse({}, "staging").canary.enabled is False
    assert [one for one in two() if one.type == KIND] == []
    assert two().one("Service", "model-preview").hooks == ()


def test_the_route_names_the_two_services_that_move_with_the_live_slot(two):
    done = two(**ROUTE, weight=5)
    spec = route_of(done).inputs["spec"]

    assert spec["parentRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "gateways"}
    ]
    assert spec["hostnames"] == ["flights.example.com"]
    assert weights(done) == {"model": 95, "model-preview": 5}
    assert (selected(done, "model"), selected(done, "model-preview")) == ("blue", "green")
    assert route_of(done).inputs["metadata"]["namespace"] == "ml-staging"


@pytest.mark.parametrize("weight", [0, 5, 50])
def test_a_step_is_one_number(two, weight):
    assert weights(two(**ROUTE, weight=weight)) == {"model": 100 - weight, "model-preview": weight}


def test_the_route_is_what_the_gateway_api_takes(two):
    inputs = route_of(two(**ROUTE, weight=5)).inputs
    judge(inputs)

    for damage in (
        lambda spec: spec["rules"][0]["backendRefs"][0].update(weight=-1),
        lambda spec: spec["rules"][0]["backendRefs"][0].update(wait=1),
        lambda spec: spec.update(hostnames=["UPPER"]),
        lambda spec: spec["parentRefs"][0].pop("name"),
    ):
        wrong = copy.deepcopy(dict(inputs))
        damage(wrong["spec"])
        with pytest.raises(jsonschema.ValidationError):
            judge(wrong)


def test_a_share_comes_after_the_idle_slot_its_smoke_and_the_preview_service_and_through_the_gate(two):
    done = two(**ROUTE, weight=5)
    route, preview = route_of(done), done.one("Service", "model-preview")
    (smoke,) = [one for one in done.of("Job") if one.k8s_name.startswith("smoke-green")]

    for carries in (route, preview):
        assert carries.hooks == ("canary-slot-is-ready", "canary-slot-is-ready")
        assert {done.one("Deployment", "model-green").urn, smoke.urn} <= set(carries.depends_on)
    assert preview.urn in route.depends_on


def test_a_share_goes_before_the_preview_service_moves_and_waits_for_nothing(two):
    """After a rollback the preview Service selects the bad release again: the route must be closed by then."""
    done = two(**ROUTE, weight=0)
    route, preview = route_of(done), done.one("Service", "model-preview")

    assert route.urn in preview.depends_on
    assert [urn for urn in route.depends_on if "Service" in urn or "Deployment" in urn or "Job" in urn] == []
    assert (route.hooks, preview.hooks) == ((), ())


def test_the_live_service_is_what_it_is_without_a_route(two):
    plain, routed = two().one("Service", "model"), two(**ROUTE, weight=5).one("Service", "model")

    assert (plain.inputs, plain.hooks, plain.depends_on) == (routed.inputs, routed.hooks, routed.depends_on)


def test_after_a_switch_the_share_goes_to_the_slot_that_was_live(two):
    done = two(live="green", **ROUTE, weight=5)

    assert (selected(done, "model"), selected(done, "model-preview")) == ("green", "blue")
    assert weights(done) == {"model": 95, "model-preview": 5}
