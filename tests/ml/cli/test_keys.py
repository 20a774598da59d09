"""`mlp keys` as typed: what it prints, what it writes, and that no private key is in either."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ml.cli.keys import app
from ml.errors import UsageError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLP_HOME", str(tmp_path / "home"))
    return tmp_path


def run(root: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--root", str(root)])


def only_key(root: Path) -> str:
    (path,) = (root / "releases/keys").glob("*.json")
    return path.stem


def test_a_key_is_made_listed_and_revoked(root: Path) -> None:
    created = run(root, "create", "--owner", "release team", "--expires", "2999-12-31")
    keyid = only_key(root)
    assert f"git add releases/keys/{keyid}.json" in created.output

    listed = run(root, "list").output
    assert keyid[:16] in listed
    assert "signs" in listed

    assert "laptop lost" in run(root, "revoke", keyid[:8], "--because", "laptop lost").output
    assert "revoked" in run(root, "list").output


def test_no_command_shows_a_private_key(root: Path) -> None:
    outputs = [run(root, *words).output for words in (["create"], ["list"])]
    (path,) = (root / "home/keys").iterdir()
    secret = path.read_text().splitlines()[1]

    outputs.append(run(root, "trust", path.stem).output)
    assert not [output for output in outputs if secret in output]
    assert secret not in (root / "releases/keys" / f"{path.stem}.json").read_text()


def test_the_list_names_what_is_wrong_with_the_folder(root: Path) -> None:
    run(root, "create")
    keyid = only_key(root)
    (root / "releases/keys" / f"{keyid}.json").unlink()
    assert f"mlp keys trust {keyid}" in run(root, "list").output.replace("\n", " ")

    (root / "releases/keys/x.json").write_text("{}")
    assert "ML-REL-138" in run(root, "list").output


def test_a_date_that_is_none_is_refused(root: Path) -> None:
    refused = run(root, "create", "--expires", "soon").exception

    assert isinstance(refused, UsageError)
    assert refused.code == "ML-CONF-015"
    assert not (root / "releases").exists()
