"""What a killed update had begun to create, read from an exported state."""

from toolchain.pending import pending_creates


def operation(kind, token, metadata, urn="urn:pulumi:staging::p::t::n"):
    return {"type": kind, "resource": {"urn": urn, "type": token, "inputs": {"metadata": metadata}}}


def test_what_was_being_created_is_found_with_the_words_that_kubectl_takes():
    state = {
        "pending_operations": [
            operation(
                "creating", "kubernetes:batch/v1:Job", {"name": "smoke-blue-1eed0590", "namespace": "ml-staging"}
            ),
            operation("creating", "kubernetes:core/v1:Namespace", {"name": "ml-staging"}),
            operation("creating", "kubernetes:rbac.authorization.k8s.io/v1:Role", {"name": "a", "namespace": "b"}),
        ]
    }

    found = pending_creates(state)

    assert [(one.kind, one.provider_id) for one in found] == [
        ("Job.v1.batch", "ml-staging/smoke-blue-1eed0590"),
        ("Namespace.v1.", "ml-staging"),
        ("Role.v1.rbac.authorization.k8s.io", "b/a"),
    ]


def test_what_is_no_object_of_the_cluster_cannot_be_looked_for():
    state = {
        "pending_operations": [
            {"type": "creating", "resource": {"urn": "u", "type": "docker:index/image:Image", "inputs": {}}},
            operation("creating", "kubernetes:core/v1:ConfigMap", {}),
        ]
    }

    assert [one.kind for one in pending_creates(state)] == ["", ""]


def test_other_operations_are_done_again_by_the_next_update_and_need_nothing():
    state = {"pending_operations": [operation("updating", "kubernetes:core/v1:Service", {"name": "model"})]}

    assert pending_creates(state) == []
    assert pending_creates({}) == []
    assert pending_creates({"pending_operations": None}) == []


def test_an_object_that_was_to_replace_another_is_spare_while_the_state_has_that_other():
    token, urns = "kubernetes:core/v1:ConfigMap", [f"urn:pulumi:staging::p::t::{n}" for n in ("old", "same", "new")]
    begun = [operation("creating", token, {"name": f"x-{urn[-3:]}", "namespace": "n"}, urn) for urn in urns]
    known = [{"urn": urns[0], "id": "n/x-earlier"}, {"urn": urns[1], "id": "n/x-ame"}]

    found = pending_creates({"pending_operations": begun, "resources": known})

    assert [one.is_spare for one in found] == [True, False, False]
