"""Services select named pods, the model's exactly one slot."""

import pytest

POLICY = "services-select-one-slot"
SERVICE = "kubernetes:core/v1:Service"


def service(name="model", **selector):
    labels = {"app.kubernetes.io/name": "model", "ml-pipeline/slot": "blue"}
    labels.update({key.replace("__", "/"): value for key, value in selector.items()})
    return {"metadata": {"name": name}, "spec": {"selector": labels}}


@pytest.mark.parametrize("name", ["model", "model-preview", "model-blue", "model-blue-pods", "other"])
def test_one_slot_passes(analyze, name):
    assert analyze(POLICY, SERVICE, service(name)) == []


def test_another_workload_s_service_needs_no_slot(analyze):
    props = {"metadata": {"name": "mlflow"}, "spec": {"selector": {"app.kubernetes.io/name": "mlflow"}}}

    assert analyze(POLICY, SERVICE, props) == []


@pytest.mark.parametrize("selector", [None, {}, [], "blue", 3])
@pytest.mark.parametrize("name", ["model", "mlflow"])
def test_a_service_without_a_selector_fails(analyze, name, selector):
    assert analyze(POLICY, SERVICE, {"metadata": {"name": name}, "spec": {"selector": selector}}) != []


def test_a_missing_spec_fails(analyze):
    assert analyze(POLICY, SERVICE, {"metadata": {"name": "model"}}) != []


@pytest.mark.parametrize("slot", ["teal", "", None, "Blue", ["blue", "green"], 3])
def test_a_selector_that_names_no_slot_or_two_fails(analyze, slot):
    props = service()
    props["spec"]["selector"]["ml-pipeline/slot"] = slot

    assert analyze(POLICY, SERVICE, props) != []


def test_a_selector_of_the_model_without_a_slot_fails_whatever_the_service_is_called(analyze):
    for name in ("model", "anything"):
        props = service(name)
        del props["spec"]["selector"]["ml-pipeline/slot"]

        assert analyze(POLICY, SERVICE, props) != []


def test_the_live_service_selects_the_model_and_nothing_else(analyze):
    props = service()
    props["spec"]["selector"]["app.kubernetes.io/name"] = "mlflow"

    assert analyze(POLICY, SERVICE, props) != []


def test_a_slot_s_own_service_selects_its_own_slot(analyze):
    assert "must be the slot in the name" in analyze(POLICY, SERVICE, service("model-green"))[0]


def test_a_selector_without_the_name_of_a_workload_fails(analyze):
    props = {"metadata": {"name": "x"}, "spec": {"selector": {"app.kubernetes.io/part-of": "ml-pipeline"}}}

    assert analyze(POLICY, SERVICE, props) != []


def test_an_unknown_selector_fails(analyze, unknown):
    value, whole, name = service(), service(), service()
    value["spec"]["selector"]["ml-pipeline/slot"] = unknown.text
    whole["spec"]["selector"] = unknown.object
    name["metadata"]["name"] = unknown.text

    for props in (value, whole, name):
        assert len(analyze(POLICY, SERVICE, props)) == 1


def test_a_patch_of_the_selector_is_judged_and_another_patch_is_not(analyze):
    kind = f"{SERVICE}Patch"
    harmless = {"metadata": {"name": "model", "annotations": {"a": "b"}}}

    assert analyze(POLICY, kind, harmless) == []
    assert analyze(POLICY, kind, {**harmless, "spec": {"selector": {"ml-pipeline/slot": "green"}}}) != []


def test_the_items_of_a_list_are_judged(analyze):
    bad = service()
    bad["spec"]["selector"] = {}

    [message] = analyze(POLICY, f"{SERVICE}List", {"items": [service(), bad]})

    assert message.rpartition("\n")[2].find("items[1].") >= 0


def test_addresses_of_others_are_not_taken_over(analyze):
    props = service()
    props["spec"]["externalIPs"] = ["192.0.2.1"]

    assert "externalIPs" in analyze(POLICY, SERVICE, props)[0]


@pytest.mark.parametrize("kind", ["core/v1:Endpoints", "core/v1:EndpointsPatch", "discovery.k8s.io/v1:EndpointSlice"])
def test_endpoints_made_by_hand_fail(analyze, kind):
    assert len(analyze(POLICY, f"kubernetes:{kind}", {"subsets": []})) == 1


def test_other_kinds_are_none_of_its_business(analyze):
    assert analyze(POLICY, "kubernetes:core/v1:ConfigMap", {"spec": {"selector": {}}}) == []
    assert analyze(POLICY, "aws:ec2/service:Service", {}) == []
