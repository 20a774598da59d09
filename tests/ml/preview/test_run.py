"""The shell around the renderer, against a CLI of our own on PATH: what is run, what is written, how it ends."""

import os
import re
import stat
from pathlib import Path

import pytest

from ml.errors import ConfigError, SurroundingsError
from ml.preview.render import blockers
from ml.preview.run import preview
from tests.ml.preview.facts import DATA, record

STACK_FILE = """\
config:
  ml-pipeline:slots:
    blue: {release: flights-0001}
    green: {release: flights-0002}
  ml-pipeline:live: green
"""
SCRIPT = """\
#!/bin/sh
echo "$@" > "$ARGUMENTS"
echo "$PULUMI_OPTION_POLICY_PACK" > "$ARGUMENTS.pack"
while [ $# -gt 0 ]; do [ "$1" = --event-log ] && log=$2; shift; done
[ -n "$EVENTS" ] && cp "$EVENTS" "$log"
echo "$SAYS" >&2
exit "$CODE"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.staging.yaml").write_text(STACK_FILE)
    release = tmp_path / "releases" / "flights-0002"
    release.mkdir(parents=True)
    (release / "record.json").write_bytes(record())
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(SCRIPT)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def _environment(root: Path, *, events: str = "", code: int = 0, says: str = "") -> dict[str, str]:
    log = str(DATA / f"{events}.events.jsonl") if events else ""
    path = f"{root / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
    return {"PATH": path, "ARGUMENTS": str(root / "args"), "EVENTS": log, "CODE": str(code), "SAYS": says}


def test_the_pack_of_the_repository_runs_always_and_once(root: Path) -> None:
    environment = _environment(root, events="moves") | {"PULUMI_OPTION_POLICY_PACK": "elsewhere"}
    preview("staging", root=root, environment=environment)

    arguments = (root / "args").read_text()
    assert (root / "args.pack").read_text().strip() == "", "the pack would run twice"
    assert f"--policy-pack {root / 'policies'}" in arguments
    assert arguments.startswith("preview --stack staging")


def test_files_that_do_not_match_the_record_block(root: Path) -> None:
    found = preview("staging", root=root, environment=_environment(root, events="moves"))

    assert any("model.onnx is missing" in reason for reason in blockers(found))


def test_a_release_without_a_folder_blocks(root: Path) -> None:
    (root / "Pulumi.staging.yaml").write_text(STACK_FILE.replace("flights-0002", "flights-0003"))
    found = preview("staging", root=root, environment=_environment(root, events="raised", code=1))

    assert "ML-REL-001" in blockers(found)[0]


def test_a_release_id_cannot_name_a_file_elsewhere(root: Path) -> None:
    (root / "Pulumi.staging.yaml").write_text(STACK_FILE.replace("flights-0002", "../releases/flights-0002"))
    found = preview("staging", root=root, environment=_environment(root, events="raised", code=1))

    assert re.match("ML-(REL-003|CONF-014)", blockers(found)[0])


def test_a_failure_before_the_engine_starts_is_shown(root: Path) -> None:
    says = "error: getting stack configuration: get stack secrets manager: incorrect passphrase"
    found = preview("staging", root=root, environment=_environment(root, code=255, says=says))

    assert found.exit_code == 255
    assert any("incorrect passphrase" in reason for reason in blockers(found))


@pytest.mark.parametrize(
    ("name", "code"), [("nowhere", "ML-CONF-012"), ("../staging", "ML-CONF-011"), ("", "ML-CONF-011")]
)
def test_an_unknown_stack_is_one_clear_message(root: Path, name: str, code: str) -> None:
    with pytest.raises(ConfigError, match=code):
        preview(name, root=root, environment=_environment(root))


@pytest.mark.parametrize("text", ["config: [", "config: {ml-pipeline:slots: {teal: {release: flights-0001}}}"])
def test_a_stack_file_with_an_error_still_gets_its_comment(root: Path, text: str) -> None:
    (root / "Pulumi.staging.yaml").write_text(text)
    found = preview("staging", root=root, environment=_environment(root, events="raised", code=1))

    assert re.match(r"ML-CONF-01[34]: Pulumi\.staging\.yaml", blockers(found)[0])


def test_a_missing_cli_is_one_clear_message(root: Path) -> None:
    (root / "bin" / "pulumi").unlink()
    with pytest.raises(SurroundingsError, match="ML-TOOL-021"):
        preview("staging", root=root, environment=_environment(root) | {"PATH": str(root / "bin")})
