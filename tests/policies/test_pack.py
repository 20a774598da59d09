"""The pack as a whole: every rule is in it, mandatory, a resource policy, and documented in its own words."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pulumi_policy import EnforcementLevel, ResourceValidationPolicy

from policies.pack import POLICIES

FOLDER = Path(__file__).parents[2] / "policies"
RULES = sorted(
    path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "__main__", "pack", "reading", "stack")
)


@pytest.mark.parametrize("module", RULES)
def test_every_rule_file_is_in_the_pack_and_mandatory(module):
    policy = importlib.import_module(f"policies.{module}").POLICY

    assert policy in POLICIES
    assert policy.enforcement_level is EnforcementLevel.MANDATORY
    assert isinstance(policy, ResourceValidationPolicy)


def test_the_pack_has_nothing_else_and_no_name_twice():
    assert len(POLICIES) == len(RULES) == len({policy.name for policy in POLICIES})


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_every_rule_says_what_it_is_how_bad_and_what_to_do(policy):
    assert policy.description.endswith(".")
    assert policy.severity is not None
    assert policy.remediation_steps
    assert policy.url == f"docs/policies.md#{policy.name}"


@pytest.mark.parametrize("module", RULES)
def test_every_rule_has_its_tests(module):
    assert (Path(__file__).parent / f"test_{module}.py").is_file()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_no_rule_prints_or_swallows_every_exception(path):
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print")
        if isinstance(node, ast.ExceptHandler):
            assert getattr(node.type, "id", "Exception") not in ("Exception", "BaseException")


def test_the_pack_starts_and_the_first_line_it_prints_is_its_port():
    pack = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(FOLDER)],
        stdout=subprocess.PIPE,
        cwd=FOLDER,
        env={**os.environ, "PULUMI_DRY_RUN": "true"},
    )
    with pack:
        try:
            assert int(pack.stdout.readline()) > 0
        finally:
            pack.kill()
