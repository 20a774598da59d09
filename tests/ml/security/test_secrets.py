import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ml.security.result import Answer, Scan, run_tool
from ml.security.secret_scan import BASELINE, scan_secrets
from tests.ml.security.checkout import answers
from toolchain.paths import repo_root

# Put together here, so that this file holds none of them.
KEY = "AKIA" + "QWERTYUIOPASDF23"
PRIVATE = "-----BEGIN " + "RSA PRIVATE KEY-----\n"
PLANTED = {
    "ml/config.py": f'AWS = "{KEY}"\n',
    "deploy.yaml": f"aws_key: {KEY}\n",
    "drawing.svg": f"<svg><!-- {KEY} --></svg>\n",
    "tools/go.sum": f"{KEY}\n",
    "uv.lock": f'token = "{KEY}"\n',
    "id_rsa": PRIVATE,
}
SETTINGS = {"plugins_used": [], "filters_used": []}


@pytest.fixture
def baseline(root: Path) -> Path:
    """Our own settings, nothing audited."""
    ours = json.loads((repo_root() / BASELINE).read_text())
    (root / BASELINE).write_text(json.dumps({**ours, "results": {}}))
    return root


def plant(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(PLANTED[name])


def look(root: Path) -> Scan:
    return scan_secrets(root, root / ".build/scans", run_tool)


@pytest.mark.integration
def test_planted_keys_are_found_wherever_they_stand_and_never_printed(baseline: Path) -> None:
    for name in PLANTED:
        plant(baseline, name)

    scan = look(baseline)

    assert scan.verdict == "fail"
    assert {line.partition(":")[0] for line in scan.findings} == set(PLANTED)
    assert KEY not in repr(scan)
    assert KEY not in "".join(path.read_text() for path in (baseline / ".build/scans").iterdir())


@pytest.mark.integration
def test_a_checkout_without_secrets_passes_and_only_what_changed_is_read_again(baseline: Path) -> None:
    (baseline / "model.onnx").write_bytes(b"\x08\x0a\x12\xff\x00")
    asked: list[list[str]] = []

    def counting(command: Sequence[str], limit_s: float) -> Answer:
        asked.append(json.loads(Path(command[-1]).read_text())["files"])
        return run_tool(command, limit_s)

    first = scan_secrets(baseline, baseline / ".build/scans", counting)
    again = scan_secrets(baseline, baseline / ".build/scans", counting)
    plant(baseline, "deploy.yaml")
    changed = scan_secrets(baseline, baseline / ".build/scans", counting)

    assert (first.verdict, first.covered == first.total > 4, "1 binary" in first.reason) == ("pass", True, True), first
    assert again == first
    assert asked[1:] == [["deploy.yaml"]]
    assert changed.verdict == "fail"
    assert changed.subject_sha256 != first.subject_sha256


@pytest.mark.integration
@pytest.mark.parametrize(("word", "verdict"), [(False, "pass"), (True, "fail"), (None, "fail")])
def test_only_what_somebody_audited_as_harmless_is_accepted(baseline: Path, word: Any, verdict: str) -> None:
    plant(baseline, "deploy.yaml")
    command = ["detect-secrets", "scan", "--no-verify", "deploy.yaml"]
    told = subprocess.run(
        [str(repo_root() / ".venv/bin" / command[0]), *command[1:]],
        cwd=baseline,
        capture_output=True,
        text=True,
        check=True,
    )
    entries = json.loads(told.stdout)["results"]
    said = {name: [{**e, **({} if word is None else {"is_secret": word})} for e in es] for name, es in entries.items()}
    kept = json.loads((baseline / BASELINE).read_text())
    (baseline / BASELINE).write_text(json.dumps({**kept, "results": said}))

    assert look(baseline).verdict == verdict


@pytest.mark.parametrize("content", [None, "{}", "no JSON", "[]"])
def test_without_a_baseline_nothing_passes(root: Path, content: str | None) -> None:
    if content is not None:
        (root / BASELINE).write_text(content)

    scan = look(root)

    assert (scan.verdict, scan.covered) == ("incomplete", 0)
    assert ".secrets.baseline is missing" in scan.reason


@pytest.mark.parametrize("told", ["", "[]", {"found": {}, "binary": []}, {"found": {"ml/fine.py": []}, "binary": []}])
def test_files_that_were_not_read_are_not_covered(root: Path, told: Any) -> None:
    (root / BASELINE).write_text(json.dumps({**SETTINGS, "results": {}}))

    scan = scan_secrets(root, root / ".build/scans", answers(told))

    assert scan.verdict == "incomplete"
    assert scan.covered < scan.total


@pytest.mark.integration
def test_this_checkout_holds_no_secret_that_nobody_looked_at() -> None:
    scan = scan_secrets(repo_root(), repo_root() / ".build/scans", run_tool)

    assert (scan.verdict, scan.findings) == ("pass", ()), scan.reason
    assert scan.covered == scan.total
