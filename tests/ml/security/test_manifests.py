import copy
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ml.security.manifests import KUBERNETES, scan_manifests, schema_problems
from ml.security.result import Answer, Run, Scan, run_tool
from toolchain.paths import repo_root

SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "model"},
    "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]},
}


def entry(violations: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    return {"type": "kubernetes:core/v1:Service", "object": {**SERVICE, **changes}, "violations": list(violations)}


def renders(told: Any, exit_code: int = 0) -> Run:
    """The program, rendered to this."""

    def run(command: Sequence[str], limit_s: float) -> Answer:
        assert command[2] == "infra.rendered"
        assert command[4:] == ["prod", "staging"]
        Path(command[3]).write_text(told if isinstance(told, str) else json.dumps(told))
        return Answer(exit_code=exit_code, error="it said why")

    return run


@pytest.fixture
def stacks(root: Path) -> Path:
    for stack in ("staging", "prod"):
        (root / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    return root


def look(root: Path, told: Any, exit_code: int = 0) -> Scan:
    return scan_manifests(root, root / ".build/scans", renders(told, exit_code))


def test_objects_of_every_stack_are_counted(stacks: Path) -> None:
    scan = look(stacks, {"prod": [entry()], "staging": [entry(), entry()]})

    assert (scan.verdict, scan.covered, scan.total) == ("pass", 3, 3), scan
    assert "Kubernetes 1.34" in scan.reason


@pytest.mark.parametrize(
    ("spoilt", "verdict", "words"),
    [
        (entry(spec={**SERVICE["spec"], "selektor": {}}), "fail", "prod Service/model: spec: Additional properties"),
        (entry(spec={"ports": [{"port": "eighty"}]}), "fail", "spec.ports.0.port: 'eighty' is not of type"),
        (entry(("services-select-one-slot: no",)), "fail", "prod Service/model: services-select-one-slot: no"),
        (entry(kind="Sevice"), "incomplete", "no schema for prod Sevice/model"),
        (entry(apiVersion="v2"), "incomplete", "no schema for prod Service/model"),
    ],
)
def test_a_planted_fault_is_found_and_an_unknown_kind_is_not_covered(
    stacks: Path, spoilt: dict[str, Any], verdict: str, words: str
) -> None:
    scan = look(stacks, {"prod": [spoilt], "staging": [entry()]})

    assert scan.verdict == verdict
    assert words in " ".join([*scan.findings, scan.reason])
    assert scan.covered == (2 if verdict == "fail" else 1)


@pytest.mark.parametrize(
    ("told", "exit_code"),
    [
        ({"prod": [entry()], "staging": [entry()]}, 1),
        ({"prod": [entry()]}, 0),
        ({"prod": [entry()], "staging": []}, 0),
        ({"prod": [entry()], "staging": [{}]}, 0),
        ({"prod": [entry()], "staging": 3}, 0),
        ("no JSON", 0),
        ([], 0),
    ],
)
def test_what_was_not_rendered_is_incomplete(stacks: Path, told: Any, exit_code: int) -> None:
    scan = look(stacks, told, exit_code)

    assert (scan.verdict, scan.covered) == ("incomplete", 0)
    assert "not rendered" in scan.reason


def test_an_older_rendering_is_never_used_again(stacks: Path) -> None:
    look(stacks, {"prod": [entry()], "staging": [entry()]})

    scan = scan_manifests(stacks, stacks / ".build/scans", lambda *_: Answer(exit_code=0))
    assert scan.verdict == "incomplete"


def test_the_schemas_are_of_the_kubernetes_that_we_build() -> None:
    pins = tomllib.loads((repo_root() / "toolchain/pins.toml").read_text())

    assert pins["tools"]["kubernetes"]["version"].startswith(f"{KUBERNETES}.")
    assert schema_problems(copy.deepcopy(SERVICE)) == []


@pytest.mark.integration
def test_the_objects_of_this_checkout_are_rendered_whole_valid_and_without_secrets(tmp_path: Path) -> None:
    scan = scan_manifests(repo_root(), tmp_path, run_tool)

    assert (scan.verdict, scan.findings) == ("pass", ()), scan.reason
    rendered = json.loads((tmp_path / "manifests.json").read_text())
    found = [entry["object"] for entry in rendered["prod"]]
    kinds = {one["kind"] for one in found}
    assert kinds >= {"Deployment", "StatefulSet", "Service", "NetworkPolicy", "CronJob", "Namespace", "Secret"}
    assert {"model-blue", "model-green"} <= {one["metadata"]["name"] for one in found}
    secrets = [one for one in found if one["kind"] == "Secret"]
    assert not [
        value for one in secrets for part in ("data", "stringData") for value in one.get(part, {}).values() if value
    ]
    assert re.search(r"findings in (\d+) of \1 objects of prod, staging", scan.reason)
