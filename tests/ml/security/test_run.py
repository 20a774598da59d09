import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ml.security import run as run_module
from ml.security import subjects
from ml.security.kept import load
from ml.security.result import Answer, Scan
from ml.security.run import SCANS_FOLDER, scan_all
from tests.ml.security.checkout import NOW

SCANS = {
    "code",
    "dependencies",
    "dockerfiles",
    "licences",
    "manifests",
    "model-files",
    "sbom",
    "sbom-project",
    "secrets",
}


class Tools:
    """Every tool, answering as on a clean checkout; `asked` counts the programs that were started."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, command: Sequence[str], limit_s: float) -> Answer:
        words = " ".join(command)
        told: dict[str, Any] = {
            "bandit": {"errors": [], "results": []},
            "cyclonedx_py": {"components": [{"name": "numpy", "version": "2.4.6"}]},
            "hadolint": [],
            "piplicenses": [{"Name": "numpy", "Version": "2.4.6", "License": "MIT"}],
            "pip_audit": {"dependencies": []},
            "infra.rendered": {},
            "secret_files": {"found": {}, "binary": []},
        }
        tool = next(name for name in told if name in words)
        self.asked.append(tool)
        return Answer(exit_code=0, stdout=json.dumps(told[tool]))


@pytest.fixture
def release_dir(tmp_path: Path) -> Path:
    (tmp_path / "release").mkdir()
    return tmp_path / "release"


def scan(root: Path, release_dir: Path | None = None, tools: Tools | None = None, **more: Any) -> dict[str, Scan]:
    return scan_all(root, release_dir, more.pop("now", NOW), lambda step: None, tools or Tools(), **more)


def test_every_scan_says_when_it_looked_and_at_what(root: Path, release_dir: Path) -> None:
    steps: list[str] = []

    scans = scan_all(root, release_dir, NOW, steps.append, Tools())

    assert set(scans) == SCANS
    assert {one.scanned_at for one in scans.values()} == {"2026-01-31T12:00:00Z"}
    must = subjects.all_of(root)
    assert {name: one.subject_sha256 for name, one in scans.items() if name in must} == {
        n: must[n] for n in SCANS - {"model-files"}
    }
    assert steps[-1].endswith(f"{len(SCANS)} of {len(SCANS)} done")


def test_the_same_content_is_scanned_once_a_day_and_the_answer_keeps_its_time(root: Path) -> None:
    tools = Tools()
    first = scan(root, tools=tools)
    later = datetime(2026, 1, 31, 18, 0, 0, tzinfo=UTC)
    again = scan(root, tools=tools, now=later)

    kept = {name for name, one in again.items() if one.scanned_at == "2026-01-31T12:00:00Z"}
    assert kept == {"code", "dependencies", "dockerfiles", "sbom", "sbom-project"}, (
        "what is incomplete is asked again, but for an audit that was answered"
    )
    assert {name: again[name] for name in kept} == {name: first[name] for name in kept}
    assert tools.asked.count("bandit") == 1

    scan(root, tools=tools, now=later, fresh=True)
    assert tools.asked.count("bandit") == 2
    scan(root, tools=tools, now=datetime(2026, 2, 1, tzinfo=UTC))
    assert tools.asked.count("bandit") == 3


def test_other_content_another_tool_or_other_rules_are_scanned_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = Tools()
    scan(root, tools=tools)
    (root / "ml/fine.py").write_text("A = 2\n")
    scan(root, tools=tools)
    assert tools.asked.count("bandit") == 2
    (root / ".hadolint.yaml").write_text("ignored: [DL3008]\n")
    scan(root, tools=tools)
    assert tools.asked.count("hadolint") == 2
    monkeypatch.setattr(run_module, "version", lambda name: "99")
    scan(root, tools=tools)
    assert tools.asked.count("bandit") == 3


@pytest.mark.parametrize("content", ["", "[]", '{"key": "k"}', '{"key": "k", "scan": {"verdict": "pass"}}'])
def test_a_kept_answer_that_cannot_be_read_is_none(root: Path, content: str) -> None:
    folder = root / SCANS_FOLDER / "kept"
    folder.mkdir(parents=True)
    (folder / "code.json").write_text(content)

    assert load(folder, "code", "k") is None


def test_the_checkout_is_what_git_tracks_or_would(root: Path) -> None:
    (root / ".venv").mkdir()
    (root / ".venv/x.py").write_text("")

    names = {path.relative_to(root).as_posix() for path in subjects.of_checkout(root).files}

    assert names == {
        "requirements.txt",
        "images/serving/requirements.txt",
        "images/serving/Dockerfile",
        "ml/fine.py",
        ".hadolint.yaml",
    }
