"""The pack knows its stack as the engine tells it, over the wire and not by the environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from ml.release.record import canonical_bytes, parse, seal

FOLDER = Path(__file__).parents[2] / "policies"
WAIVER = {"rule": "scan", "of": "static", "owner": "me", "reason": "no source", "expires": "2099-06-30"}


@pytest.fixture
def analyzer():
    environment = {key: value for key, value in os.environ.items() if key != "PULUMI_STACK"}
    pack = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(FOLDER)],
        stdout=subprocess.PIPE,
        cwd=FOLDER,
        env={**environment, "PULUMI_DRY_RUN": "true"},
    )
    with pack, grpc.insecure_channel(f"127.0.0.1:{int(pack.stdout.readline())}") as channel:
        try:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            pack.kill()


def resting_on_a_waiver(make_slot):
    slot = make_slot()
    annotations = slot["metadata"]["annotations"]
    record = dict(parse(annotations["ml-pipeline/release-record"].encode()))
    gate = dict(record["gate"])
    gate["checks"] = [{**check, "reason": "waived"} if check["rule"] == "scan" else check for check in gate["checks"]]
    gate["policy"] = {**gate["policy"], "waivers": [WAIVER]}
    annotations["ml-pipeline/release-record"] = canonical_bytes(seal({**record, "gate": gate})).decode()
    return slot


@pytest.mark.parametrize(("stack", "refused"), [("staging", False), ("prod", True)])
def test_a_waiver_that_names_no_stacks_is_refused_in_prod_and_not_in_staging(analyzer, make_slot, stack, refused):
    properties = struct_pb2.Struct()
    properties.update(json.loads(json.dumps(resting_on_a_waiver(make_slot))))
    analyzer.ConfigureStack(analyzer_pb2.AnalyzerStackConfigureRequest(stack=stack, project="ml-pipeline"))

    answer = analyzer.Analyze(
        analyzer_pb2.AnalyzeRequest(
            type="kubernetes:apps/v1:Deployment",
            urn=f"urn:pulumi:{stack}::ml-pipeline::kubernetes:apps/v1:Deployment::slot",
            name="slot",
            properties=properties,
        )
    )

    found = [diagnostic for diagnostic in answer.diagnostics if diagnostic.policyName == "waivers-accepted"]
    assert bool(found) is refused, [diagnostic.message for diagnostic in answer.diagnostics]
