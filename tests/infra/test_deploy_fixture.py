"""The fixture itself must be able to fail."""

import pulumi
import pulumi_kubernetes as k8s
import pytest


def test_it_returns_what_was_registered_with_its_inputs_and_exports(deploy):
    def build():
        found = k8s.core.v1.Namespace("ns", metadata=k8s.meta.v1.ObjectMetaArgs(name="ml-x"))
        pulumi.export("name", found.metadata.name)

    done = deploy(build)

    assert done.one("Namespace", "ml-x").inputs["metadata"] == {"name": "ml-x"}
    assert done.exports == {"name": "ml-x"}


def test_two_resources_with_the_same_urn_fail(deploy):
    def build():
        k8s.core.v1.Namespace("ns")
        k8s.core.v1.Namespace("ns")

    with pytest.raises(AssertionError, match="two resources are"):
        deploy(build)


def test_a_secret_input_is_seen_as_secret(deploy):
    done = deploy(lambda: k8s.core.v1.Secret("s", data=pulumi.Output.secret({"key": "c2VjcmV0"})))

    assert done.one("Secret", "s").secrets == {"data"}
    assert done.one("Secret", "s").inputs["data"] == {"key": "c2VjcmV0"}


def test_an_error_of_the_program_comes_out_and_shows_what_was_made_before(deploy):
    def build():
        raise pulumi.RunError("no")

    with pytest.raises(pulumi.RunError, match="no"):
        deploy(build)
    assert deploy.registered == []
