"""Routes lead clients to the live Service, and at most half of them to the preview Service."""

import pytest

POLICY = "routes-through-the-gates"
ROUTE = "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute"


def route(*backends, **rule):
    refs = [{"name": name, "port": 80, "weight": weight} for name, weight in backends]
    return {"metadata": {"name": "model"}, "spec": {"rules": [{"backendRefs": refs, **rule}]}}


@pytest.mark.parametrize("preview", [0, 5, 50])
def test_up_to_half_for_the_preview_service_passes(analyze, preview):
    assert analyze(POLICY, ROUTE, route(("model", 100 - preview), ("model-preview", preview))) == []


def test_the_live_service_alone_and_somebody_else_s_route_pass(analyze):
    assert analyze(POLICY, ROUTE, route(("model", 1))) == []
    assert analyze(POLICY, ROUTE, route(("website", 1))) == []


@pytest.mark.parametrize(
    "backends",
    [
        [("model", 49), ("model-preview", 51)],
        [("model-preview", 1)],
        [("model", 0), ("model-preview", 1)],
        [("model", 60), ("model-preview", 40), ("model-preview", 40)],
    ],
)
def test_more_than_half_for_the_preview_service_fails(analyze, backends):
    assert "at most 50 %" in analyze(POLICY, ROUTE, route(*backends))[0]


@pytest.mark.parametrize("name", ["model-blue", "model-green", "model-blue-pods", "model-green-pods"])
@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "HTTPRoutePatch"])
def test_a_slot_s_own_service_fails_whatever_the_kind_of_route(analyze, name, kind):
    kind = f"kubernetes:gateway.networking.k8s.io/v1:{kind}"

    assert name in analyze(POLICY, kind, route(("model", 100), (name, 0)))[0]


def test_copies_of_requests_fail_also_in_the_filter_of_a_backend(analyze):
    copies = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "model-preview", "port": 80}}}
    inside = route(("model", 100))
    inside["spec"]["rules"][0]["backendRefs"][0]["filters"] = [copies]

    for props in (route(("model", 100), filters=[copies]), inside):
        [message] = analyze(POLICY, ROUTE, props)
        assert "ml-pipeline:shadow" in message


def test_a_weight_that_is_not_written_down_is_one(analyze):
    props = route(("model", 1), ("model-preview", 1))
    for backend in props["spec"]["rules"][0]["backendRefs"]:
        del backend["weight"]
    assert analyze(POLICY, ROUTE, props) == []

    del props["spec"]["rules"][0]["backendRefs"][0]
    assert len(analyze(POLICY, ROUTE, props)) == 1


def test_what_is_not_known_or_no_number_fails(analyze, unknown):
    name, refs = route((unknown.text, 1)), route()
    refs["spec"]["rules"][0]["backendRefs"] = unknown.array
    weight = route(("model", 1), ("model-preview", unknown.text))

    for props in (name, refs, weight, route(("model", 1), ("model-preview", -1)), route(("model", "1"))):
        assert analyze(POLICY, ROUTE, props) != []


def test_the_items_of_a_list_are_judged(analyze):
    items = {"items": [route(("model", 1)), route(("model-green", 1))]}

    [message] = analyze(POLICY, f"{ROUTE}List", items)

    assert "items[1].spec.rules[0].backendRefs[0].name" in message


def test_other_kinds_are_none_of_its_business(analyze):
    assert analyze(POLICY, "kubernetes:core/v1:ConfigMap", route(("model-blue", 1))) == []
