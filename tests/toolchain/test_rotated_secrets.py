"""The real engine after a rotation: it changes no Secret and brings no value back, with and without a refresh."""

import base64
import json
import os
import sys
from pathlib import Path

import pytest
from project import Project

from infra.key_hashes import hash_lines

pytestmark = pytest.mark.integration

PROGRAM = """
import os
from infra import credentials, names
if label := os.environ.get("LABEL"):
    credentials.labels = lambda *given, **more: {**names.labels(*given, **more), "changed": label}
if os.environ.get("COMPUTE_HASHES"):  # as it once was
    ours = credentials.Secret
    def secret(name, *, opts, **given):
        if name == names.API_KEY_HASHES_SECRET:
            opts.ignore_changes = None
        return ours(name, opts=opts, **given)
    credentials.Secret = secret
credentials.Credentials("credentials", credentials.CredentialsArgs(namespace="ml-x"))
"""
UP = ("up", "--yes", "--non-interactive", "--skip-preview")
NEW, NEW_LOGIN = "canary-of-the-new-key", "canary-of-the-new-login"
HASHES = "model-api-key-hashes"
URN = "urn:pulumi:test::demo::ml-pipeline:infra:Credentials$kubernetes:core/v1:Secret::"


class Cluster:
    """The Secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> dict[str, str]:
        data = json.loads((self.folder / f"{name}.json").read_text())["data"]
        return {field: base64.b64decode(value).decode() for field, value in data.items()}

    def write(self, name: str, **values: str) -> None:
        file = self.folder / f"{name}.json"
        found = json.loads(file.read_text())
        found["data"] = {field: base64.b64encode(value.encode()).decode() for field, value in values.items()}
        file.write_text(json.dumps(found))

    def values(self) -> dict[str, dict[str, str]]:
        return {file.stem: self.read(file.stem) for file in sorted(self.folder.iterdir())}

    def rotate(self) -> str:
        """What `mlp api-key rotate` and `mlp database-password rotate` leave; the earlier key."""
        old = self.read("model-api-key")["key"]
        self.write("model-api-key", key=NEW, previous=old)
        self.write(HASHES, keys=hash_lines([old, NEW]))
        self.write("postgres-auth", password=NEW_LOGIN)
        return old


@pytest.fixture
def cluster(project: Project, tmp_path: Path) -> Cluster:
    folder, commands = tmp_path / "cluster", tmp_path / "commands"
    folder.mkdir()
    commands.mkdir()
    plugin = commands / "pulumi-resource-kubernetes"
    stand_in = Path(__file__).with_name("kubernetes_stand_in.py")
    plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" "$@"\n')
    plugin.chmod(0o755)
    project.env |= {"PATH": f"{commands}{os.pathsep}{project.env['PATH']}", "CLUSTER": str(folder)}
    project.write("__main__.py", PROGRAM)
    project.up()
    return Cluster(folder)


def test_after_a_rotation_nothing_changes_with_and_without_a_refresh(project: Project, cluster: Cluster) -> None:
    old = cluster.rotate()
    rotated = cluster.values()

    project.succeed(*UP, "--expect-no-changes")
    project.succeed(*UP, "--refresh")
    assert cluster.values() == rotated

    cluster.write("model-api-key", key=NEW)
    cluster.write(HASHES, keys=hash_lines([NEW]))
    retired = cluster.values()
    project.succeed(*UP, "--expect-no-changes")
    project.succeed(*UP, "--refresh")
    assert cluster.values() == retired
    state = "".join(file.read_text() for file in (project.root.parent / "state").rglob("*.json*"))
    hidden = [form for text in (old, NEW, NEW_LOGIN) for form in (text, base64.b64encode(text.encode()).decode())]
    assert HASHES in state
    assert [text for text in hidden if text in state] == []


def test_another_change_of_the_secrets_leaves_their_values(project: Project, cluster: Cluster) -> None:
    cluster.rotate()
    rotated = cluster.values()

    for label, refresh in (("one", ()), ("two", ("--refresh",))):
        project.env["LABEL"] = label
        assert "5 updated" in project.succeed(*UP, *refresh)
        assert cluster.values() == rotated


def half_refreshed(project: Project, cluster: Cluster) -> str:
    """A rotation fell between the refresh of the key and that of the hashes; the earlier key."""
    old = cluster.rotate()
    project.succeed("refresh", "--yes", "--non-interactive", "--skip-preview", "--target", f"{URN}{HASHES}")
    project.up()
    return old


def test_a_rotation_in_the_middle_of_a_refresh_locks_nobody_out(project: Project, cluster: Cluster) -> None:
    old = half_refreshed(project, cluster)

    assert cluster.read(HASHES)["keys"] == hash_lines([old, NEW])


def test_hashes_that_every_run_computes_would_lock_the_new_key_out(project: Project, cluster: Cluster) -> None:
    """The control: what the program did before, and that these tests would see it."""
    project.env["COMPUTE_HASHES"] = "yes"

    old = half_refreshed(project, cluster)

    assert cluster.read(HASHES)["keys"] == hash_lines([old])
