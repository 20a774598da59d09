"""Images by digest: every kind that makes pods, every list of containers."""

import json

import pytest

from policies.images import image_may_be_unknown, violations

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
POLICY = "images-by-digest"
LISTS = ["containers", "initContainers", "ephemeralContainers"]


def deployment(pod):
    return {"spec": {"template": pod}}


def test_a_pinned_image_passes(analyze, of_every_kind, make_pod):
    kind, wrap = of_every_kind

    assert analyze(POLICY, kind, wrap(make_pod())) == []


@pytest.mark.parametrize("where", LISTS)
def test_a_tag_fails_in_every_kind_and_every_list(analyze, of_every_kind, make_pod, make_container, where):
    kind, wrap = of_every_kind
    pod = make_pod()
    pod["spec"][where] = [make_container(), {**make_container(), "image": "serving:1"}]

    [message] = analyze(POLICY, kind, wrap(pod))

    assert f"spec.{where}[1].image: got 'serving:1'" in message


@pytest.mark.parametrize("where", LISTS)
def test_a_patch_is_seen_as_well(analyze, of_every_kind, make_pod, where):
    kind, wrap = of_every_kind
    pod = make_pod()
    pod["spec"] = {where: [{"name": "c", "image": "serving:1"}]}

    assert len(analyze(POLICY, f"{kind}Patch", wrap(pod))) == 1


def test_a_patch_that_leaves_the_containers_alone_passes(analyze):
    assert analyze(POLICY, f"{DEPLOYMENT}Patch", {"metadata": {"name": "x", "labels": {"a": "b"}}}) == []
    assert analyze(POLICY, f"{DEPLOYMENT}Patch", {"spec": {"replicas": 3}}) == []


def test_the_items_of_a_list_are_seen(analyze, make_pod):
    good, bad = deployment(make_pod()), deployment(make_pod())
    bad["spec"]["template"]["spec"]["containers"][0]["image"] = "x"

    [message] = analyze(POLICY, f"{DEPLOYMENT}List", {"items": [good, bad]})

    assert "items[1].spec.template.spec.containers[0].image" in message


@pytest.mark.parametrize(
    "image",
    [
        "serving",
        "serving:1",
        "serving@sha256:abc",
        f"serving:1@sha512:{'a' * 64}",
        f"serving@sha256:{'A' * 64}",
        f"serving@sha256:{'a' * 63}",
        f"serving@sha256:{'a' * 64}\n",
        f"@sha256:{'a' * 64}",
        "",
        7,
        None,
        ["x"],
        {},
    ],
)
def test_anything_but_a_digest_fails(analyze, make_pod, image):
    pod = make_pod()
    pod["spec"]["containers"][0]["image"] = image

    assert len(analyze(POLICY, DEPLOYMENT, deployment(pod))) == 1


def test_a_missing_image_fails(analyze, make_pod):
    pod = make_pod()
    del pod["spec"]["containers"][0]["image"]

    assert "got None" in analyze(POLICY, DEPLOYMENT, deployment(pod))[0]


@pytest.mark.parametrize("containers", [None, [], {}, "c", 3])
def test_containers_that_are_missing_or_no_list_fail(analyze, make_pod, containers):
    pod = make_pod()
    pod["spec"]["containers"] = containers

    assert "must be a list of containers" in analyze(POLICY, DEPLOYMENT, deployment(pod))[0]


def test_an_unknown_list_of_containers_fails(analyze, make_pod, unknown):
    pod = make_pod()
    pod["spec"]["initContainers"] = unknown.array

    assert "spec.initContainers: got a value that is not known yet" in analyze(POLICY, DEPLOYMENT, deployment(pod))[0]


def test_an_unknown_pod_fails(analyze, unknown):
    assert len(analyze(POLICY, DEPLOYMENT, {"spec": {"template": unknown.object}})) >= 1


def unknown_image(make_pod, unknown):
    pod = make_pod()
    pod["spec"]["containers"][0]["image"] = unknown.text
    return deployment(pod)


def test_an_image_that_is_still_to_be_built_passes_the_preview(analyze, make_pod, unknown):
    assert analyze(POLICY, DEPLOYMENT, unknown_image(make_pod, unknown)) == []


def test_beside_an_unknown_image_a_tag_still_fails(analyze, make_pod, make_container, unknown):
    props = unknown_image(make_pod, unknown)
    props["spec"]["template"]["spec"]["containers"].append({**make_container(), "image": "serving:1"})

    assert len(analyze(POLICY, DEPLOYMENT, props)) == 1


def test_in_an_update_an_unknown_image_fails(analyze, make_pod, unknown, monkeypatch):
    monkeypatch.setenv("PULUMI_DRY_RUN", "false")

    assert len(analyze(POLICY, DEPLOYMENT, unknown_image(make_pod, unknown))) == 1


def test_where_nothing_is_built_an_unknown_image_fails(analyze, make_pod, unknown, monkeypatch):
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps({"ml-pipeline:build": "false"}))

    assert len(analyze(POLICY, DEPLOYMENT, unknown_image(make_pod, unknown))) == 1


@pytest.mark.parametrize(
    ("environ", "allowed"),
    [
        ({}, True),
        ({"PULUMI_DRY_RUN": "true", "PULUMI_CONFIG": '{"ml-pipeline:build": "true"}'}, True),
        ({"PULUMI_DRY_RUN": "false"}, False),
        ({"PULUMI_DRY_RUN": "true", "PULUMI_CONFIG": '{"ml-pipeline:build": "false"}'}, False),
    ],
)
def test_when_an_image_may_be_unknown(environ, allowed):
    assert image_may_be_unknown(environ) is allowed


def test_what_makes_no_pods_is_none_of_its_business(analyze):
    assert analyze(POLICY, "kubernetes:core/v1:ConfigMap", {"data": {"image": "x:1"}}) == []
    assert analyze(POLICY, "docker:index/image:Image", {"imageName": "x:1"}) == []
    assert violations("pulumi:pulumi:Stack", {}, may_be_unknown=False) == []
