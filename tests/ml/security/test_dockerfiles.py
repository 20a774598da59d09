from pathlib import Path
from typing import Any

import pytest

from ml.security.dockerfiles import CONFIG, scan_dockerfiles
from ml.security.result import run_tool
from tests.ml.security.checkout import answers
from toolchain.paths import repo_root


def test_a_clean_dockerfile_passes(root: Path) -> None:
    scan = scan_dockerfiles(root, run_tool)

    assert (scan.verdict, scan.covered, scan.total, scan.tool) == ("pass", 1, 1, "hadolint")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("RUN cd /etc && sudo true", "DL3004"),
        ("# hadolint ignore=DL3004\nRUN sudo true", "DL3004"),
        ("ADD notes.txt /", "DL3020"),
        ("FRO debian", "DL1000"),
    ],
)
def test_a_fault_fails_even_when_the_dockerfile_asks_to_ignore_it(root: Path, line: str, rule: str) -> None:
    with (root / "images/serving/Dockerfile").open("a") as file:
        file.write(line + "\n")

    scan = scan_dockerfiles(root, run_tool)

    assert scan.verdict == "fail"
    assert any(f": {rule} (" in finding for finding in scan.findings), scan.findings


def test_a_rule_of_the_configuration_is_ignored(root: Path) -> None:
    with (root / "images/serving/Dockerfile").open("a") as file:
        file.write(
            "RUN apt-get update && apt-get install -y --no-install-recommends a && rm -rf /var/lib/apt/lists/*\n"
        )
    assert scan_dockerfiles(root, run_tool).verdict == "fail"

    (root / CONFIG).write_bytes((repo_root() / CONFIG).read_bytes())
    assert scan_dockerfiles(root, run_tool).verdict == "pass"


@pytest.mark.parametrize("told", ["", "images/x/Dockerfile: no such file", {"a": 1}])
def test_no_report_is_incomplete(root: Path, told: Any) -> None:
    assert scan_dockerfiles(root, answers(told)).verdict == "incomplete"
    assert scan_dockerfiles(root, answers([], None, error="could not be started")).verdict == "incomplete"


def test_without_its_rules_there_is_no_answer(root: Path) -> None:
    (root / CONFIG).unlink()

    assert scan_dockerfiles(root, run_tool).verdict == "incomplete"


def test_a_checkout_without_a_dockerfile_is_no_pass(root: Path) -> None:
    (root / "images/serving/Dockerfile").unlink()

    assert scan_dockerfiles(root, answers([])).verdict == "incomplete"


def test_our_own_dockerfiles_pass_all_of_them() -> None:
    scan = scan_dockerfiles(repo_root(), run_tool)

    assert (scan.verdict, scan.findings) == ("pass", ())
    assert scan.covered == len(list((repo_root() / "images").glob("*/Dockerfile"))) > 5


def test_every_ignored_rule_has_a_reason_above_it() -> None:
    lines = (repo_root() / CONFIG).read_text().splitlines()
    rules = [index for index, line in enumerate(lines) if line.strip().startswith("- ")]

    assert rules
    assert all(lines[index - 1].strip().startswith("#") for index in rules)
