"""Runs a resource through the pack as the engine does: its own analyzer, its proxies, floats and unknowns."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer
from pulumi_policy.proxy import UNKNOWN_ARRAY_VALUE, UNKNOWN_OBJECT_VALUE, UNKNOWN_STRING_VALUE

from ml.release.example import example
from ml.release.record import canonical_bytes
from ml.release.signature import sign
from policies import model_gate
from policies.pack import NAME, POLICIES
from tests.ml.release.signing import SIGNER, trust

IMAGE = f"registry.example/serving@sha256:{'a' * 64}"
POD_TYPES = {
    "kubernetes:core/v1:Pod": (),
    "kubernetes:core/v1:PodTemplate": ("template",),
    "kubernetes:core/v1:ReplicationController": ("spec", "template"),
    "kubernetes:apps/v1:ReplicaSet": ("spec", "template"),
    "kubernetes:apps/v1:Deployment": ("spec", "template"),
    "kubernetes:extensions/v1beta1:Deployment": ("spec", "template"),
    "kubernetes:apps/v1:StatefulSet": ("spec", "template"),
    "kubernetes:apps/v1:DaemonSet": ("spec", "template"),
    "kubernetes:batch/v1:Job": ("spec", "template"),
    "kubernetes:batch/v1:CronJob": ("spec", "jobTemplate", "spec", "template"),
}
LEVELS = {analyzer_pb2.MANDATORY: "mandatory", analyzer_pb2.ADVISORY: "advisory"}


@dataclass(frozen=True)
class Unknown:
    """The engine's marks for what a preview cannot know."""

    text: str = UNKNOWN_STRING_VALUE
    array: str = UNKNOWN_ARRAY_VALUE
    object: str = UNKNOWN_OBJECT_VALUE


class Analyze:
    """`analyze(policy, type, props)`: messages of that one policy; fails unless every one is mandatory."""

    def __init__(self) -> None:
        self.servicer = _PolicyAnalyzerServicer(NAME, "0.0.1", POLICIES, EnforcementLevel.MANDATORY)

    def __call__(self, policy: str, resource_type: str, props: dict[str, Any]) -> list[str]:
        assert policy in [one.name for one in POLICIES]
        properties = struct_pb2.Struct()
        properties.update(props)
        request = analyzer_pb2.AnalyzeRequest(type=resource_type, name="x", urn="urn:x", properties=properties)
        found = [one for one in self.servicer.Analyze(request, None).diagnostics if one.policyName == policy]
        assert {LEVELS[one.enforcementLevel] for one in found} <= {"mandatory"}
        return [one.message for one in found]


@pytest.fixture
def analyze(monkeypatch: pytest.MonkeyPatch) -> Analyze:
    """See `Analyze`; as in a preview of a stack that builds."""
    monkeypatch.setenv("PULUMI_DRY_RUN", "true")
    monkeypatch.delenv("PULUMI_CONFIG", raising=False)
    return Analyze()


@pytest.fixture
def unknown() -> Unknown:
    """See `Unknown`."""
    return Unknown()


def container() -> dict[str, Any]:
    """One restricted container."""
    return {
        "name": "c",
        "image": IMAGE,
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def pod() -> dict[str, Any]:
    """One restricted pod."""
    return {
        "metadata": {"labels": {"app.kubernetes.io/name": "job"}},
        "spec": {
            "serviceAccountName": "own",
            "automountServiceAccountToken": False,
            "containers": [container()],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}],
        },
    }


def within(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """`value` at the path."""
    for key in reversed(path):
        value = {key: value}
    return value


@pytest.fixture
def make_pod():
    """Makes one restricted pod."""
    return pod


@pytest.fixture
def make_container():
    """Makes one restricted container."""
    return container


@pytest.fixture(params=POD_TYPES)
def of_every_kind(request: pytest.FixtureRequest):
    """Type, and a function that puts a pod into its inputs: one test for each kind that makes pods."""
    return request.param, lambda value: copy.deepcopy(within(POD_TYPES[request.param], value))


@pytest.fixture(scope="session")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that trusts the tests' key and no other; only read it."""
    root = tmp_path_factory.mktemp("checkout")
    trust(root)
    return root


@pytest.fixture(autouse=True)
def _checkout(trusting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkout of the pack."""
    monkeypatch.setattr(model_gate, "CHECKOUT", trusting)


@pytest.fixture
def make_slot():
    """Makes the inputs of a slot's Deployment with evidence that verifies; `change` edits the evidence."""

    def build(change=None) -> dict[str, Any]:
        record = example(change)
        raw = canonical_bytes(record)
        labels = {
            "app.kubernetes.io/name": "model",
            "ml-pipeline/slot": "blue",
            "ml-pipeline/release": record["release"],
        }
        digests = {
            "ml-pipeline/record-digest": record["digest"],
            "ml-pipeline/model-sha256": record["files"]["model.onnx"],
        }
        template = pod()
        template["metadata"] = {"labels": dict(labels), "annotations": dict(digests)}
        template["spec"]["containers"][0]["env"] = [{"name": "MODEL_VERSION", "value": record["release"]}]
        return {
            "metadata": {
                "name": "model-blue",
                "labels": labels,
                "annotations": {
                    **digests,
                    "ml-pipeline/release-record": raw.decode(),
                    "ml-pipeline/release-signature": sign(raw, SIGNER).decode(),
                },
            },
            "spec": {
                "selector": {"matchLabels": {"app.kubernetes.io/name": "model", "ml-pipeline/slot": "blue"}},
                "template": template,
            },
        }

    return build
