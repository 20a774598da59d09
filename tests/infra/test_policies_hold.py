"""The program's own resources meet the policies: two separately written answers to the same questions."""

import json

import pytest
from pulumi_policy import ResourceValidationArgs
from pulumi_policy.proxy import unknown_checking_proxy

from policies.pack import POLICIES
from tests.infra.test_settings import ROUTE


def reports(resource):
    found = []
    args = ResourceValidationArgs(
        resource.type, unknown_checking_proxy(dict(resource.inputs)), resource.urn, resource.name, None, None, {}, {}
    )
    for policy in POLICIES:
        policy.validate(args, lambda message, _urn, name=policy.name: found.append(f"{name}: {message}"))
    return found


@pytest.mark.parametrize("stack", ["staging", "prod"])
@pytest.mark.parametrize(
    "more",
    [{}, {"shadow": '{"enabled": true}', "canary": json.dumps({**ROUTE, "weight": 5})}],
    ids=["plain", "shadow-and-canary"],
)
def test_every_resource_of_a_stack_passes_every_policy(recorded, monkeypatch, stack, more):
    done = recorded(stack=stack, green="flights-0002", live="green", **more)
    monkeypatch.setattr("policies.model_gate.CHECKOUT", done.root)

    assert {resource.urn: found for resource in done if (found := reports(resource))} == {}
