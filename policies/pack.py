"""The rules of the pack, importable: `PolicyPack` itself serves forever and never returns."""

from typing import Final

from pulumi_policy import ResourceValidationPolicy

from policies import images, model_gate, opaque, pods, routes, services, waivers

NAME: Final = "ml-pipeline"
POLICIES: Final[list[ResourceValidationPolicy]] = [
    model_gate.POLICY,
    images.POLICY,
    pods.POLICY,
    services.POLICY,
    routes.POLICY,
    opaque.POLICY,
    waivers.POLICY,
]
