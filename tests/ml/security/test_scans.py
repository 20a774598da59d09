import json
from pathlib import Path
from typing import Any

import pytest

from ml.errors import SurroundingsError, UsageError
from ml.security.code import scan_code
from ml.security.image import scan_image
from ml.security.locks import pins
from ml.security.result import MAX_FINDINGS, Scan, run_tool, shortened
from ml.security.run import unanswered
from ml.security.sbom import scan_sbom
from ml.security.subjects import LOCK, SERVING_LOCK
from tests.ml.security.checkout import TODAY, answers


def test_pins_are_read_with_names_that_compare(root: Path) -> None:
    assert pins(root / "requirements.txt") == {"numpy": "2.4.6", "ruamel-yaml": "0.19.1"}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("import pickle\n\ndef f(x):\n    return pickle.loads(x)\n", "fail"),
        ("import pickle\n\ndef f(x):\n    return pickle.loads(x)  # noqa: S301  (our own bytes)\n", "pass"),
        ("import pickle\n\ndef f(x):\n    return pickle.loads(x)  # noqa: S302  (another rule)\n", "fail"),
        ("assert True\n", "pass"),
        ("def (\n", "incomplete"),
    ],
)
def test_bandit_fails_what_is_serious_and_not_accepted_in_the_source(root: Path, line: str, verdict: str) -> None:
    (root / "ml/some.py").write_text(line)

    scan = scan_code(root, run_tool)

    assert scan.verdict == verdict, scan
    assert scan.total == 2
    assert (verdict == "fail") == any("ml/some.py:4: B301" in finding for finding in scan.findings)


def test_a_missing_bandit_report_is_incomplete(root: Path) -> None:
    assert scan_code(root, answers("", 2)).verdict == "incomplete"


@pytest.mark.integration
def test_the_sbom_names_every_pin(root: Path) -> None:
    out = root / "out/sbom.json"

    scan = scan_sbom(root, SERVING_LOCK, out, run_tool)

    assert (scan.verdict, scan.covered, scan.total) == ("pass", 1, 1)
    assert json.loads(out.read_text())["bomFormat"] == "CycloneDX"
    assert scan_sbom(root, LOCK, out, run_tool).total == 2


@pytest.mark.parametrize(
    ("stdout", "verdict"),
    [({"components": []}, "fail"), ({"components": [{"name": "numpy", "version": "1"}]}, "fail"), ("", "incomplete")],
)
def test_an_sbom_that_lacks_a_pin_fails(root: Path, stdout: Any, verdict: str) -> None:
    assert scan_sbom(root, SERVING_LOCK, root / "o.json", answers(stdout)).verdict == verdict


IMAGE = "127.0.0.1:5000/ml-pipeline/serving@sha256:" + "a" * 64
DPKG = """\
Package: libc6
Status: install ok installed
Version: 2.36

Package: gone
Status: deinstall ok config-files
Version: 1
"""


@pytest.mark.parametrize(
    ("python", "verdict"),
    [
        ([["numpy", "2.4.6", "/opt/python"]], "pass"),
        ([["numpy", "2.4.6", "/opt/python"], ["pip", "23", "/usr/lib/python3/dist-packages"]], "pass"),
        ([["numpy", "2.4.6", "/opt/python"], ["evil", "1", "/opt/python"]], "fail"),
        ([["numpy", "2.4.5", "/opt/python"]], "fail"),
        ([], "fail"),
    ],
)
def test_an_image_runs_what_the_lock_file_says(root: Path, python: list[list[str]], verdict: str) -> None:
    scans = scan_image(root, IMAGE, run=answers({"python": python, "debian": DPKG}))

    assert scans["image-python"].verdict == verdict
    assert (scans["image-debian"].verdict, scans["image-debian"].total) == ("incomplete", 1)
    kept = json.loads((root / ".build/scans" / f"{'a' * 64}.json").read_text())
    assert kept["packages"]["debian"] == ["libc6 2.36"]


def test_an_image_must_be_given_by_digest_and_run(root: Path) -> None:
    with pytest.raises(UsageError, match="by digest"):
        scan_image(root, "serving:latest", run=answers(""))
    with pytest.raises(SurroundingsError, match="cannot connect"):
        scan_image(root, IMAGE, run=answers("", 125, error="cannot connect"))


def test_only_an_incomplete_scan_can_be_waived_and_only_until_its_day() -> None:
    policy = {"scans": {}, "waivers": [{"rule": "scan", "of": "a", "expires": TODAY}]}

    def scan(verdict: Any) -> Scan:
        return Scan(
            tool="t", version="1", subject="s", subject_sha256="", covered=0, total=0, verdict=verdict, reason=""
        )

    incomplete, failed = scan("incomplete"), scan("fail")
    assert unanswered({"a": incomplete, "b": scan("pass")}, policy, TODAY) == []
    assert unanswered({"a": incomplete}, policy, "2026-02-01") == ["a"]
    assert unanswered({"a": failed, "b": incomplete}, policy, TODAY) == ["a", "b"]


def test_a_tool_that_is_missing_or_slow_is_an_answer() -> None:
    assert run_tool(["/no/such/tool"], 1).exit_code is None
    assert "did not end" in run_tool(["sleep", "5"], 0.05).error


def test_long_lists_of_findings_are_cut_and_say_so() -> None:
    lines = [str(number) for number in range(MAX_FINDINGS + 5)]

    assert len(shortened(lines)) == MAX_FINDINGS
    assert shortened(lines)[-1] == "and 6 more"
    assert shortened(lines[:3]) == lines[:3]
