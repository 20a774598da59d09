"""The pure parts of the docker plugin: the digest of a build context, defaults, what counts as a change."""

import hashlib
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime import rpc

from toolchain.plugins.docker_image import context, engine, inputs
from toolchain.plugins.docker_image.values import UNKNOWN, has_unknown, plain, secrets

VALUES = st.recursive(
    st.text(max_size=4) | st.booleans() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app" / "sub").mkdir(parents=True)
    for name, text in (("Dockerfile", "FROM scratch\n"), ("a", "1"), ("sub/b", "2"), ("sub.txt", "3")):
        (tmp_path / "app" / name).write_text(text)
        (tmp_path / "app" / name).chmod(0o644)
    return tmp_path / "app"


def entry(name: str, mode: str, content: bytes) -> bytes:
    return name.encode() + mode.encode() + hashlib.sha256(content).digest() + b"\0"


def test_the_digest_is_the_official_plugins(app: Path) -> None:
    """Source: hashContext in pulumi-docker's provider.go: the Dockerfile first, then a sorted walk of the context."""
    (app / "link").symlink_to("a")
    expected = b"".join(
        [
            entry("Dockerfile", "----------", b"FROM scratch\n"),
            entry("Dockerfile", "-rw-r--r--", b"FROM scratch\n"),
            entry("a", "-rw-r--r--", b"1"),
            entry("link", "Lrwxrwxrwx", b"app/a"),
            entry("sub/b", "-rw-r--r--", b"2"),
            entry("sub.txt", "-rw-r--r--", b"3"),
        ]
    )

    assert context.digest("app", "app/Dockerfile") == hashlib.sha256(expected).hexdigest()


def test_times_owners_and_empty_folders_do_not_count(app: Path) -> None:
    before = context.digest("app", "app/Dockerfile")

    os.utime(app / "a", (1, 1))
    (app / "empty").mkdir()

    assert context.digest("app", "app/Dockerfile") == before


@pytest.mark.parametrize(
    ("ignore", "sent"),
    [
        ("", {"Dockerfile", "a", "sub/b", "sub.txt", ".dockerignore"}),
        ("sub", {"Dockerfile", "a", "sub.txt", ".dockerignore"}),
        ("*\n!a", {"Dockerfile", "a", ".dockerignore"}),
        ("# a\n\n**/b\n", {"Dockerfile", "a", "sub.txt", ".dockerignore"}),
        ("Dockerfile", {"Dockerfile", "a", "sub/b", "sub.txt", ".dockerignore"}),
    ],
)
def test_dockerignore_decides_what_is_hashed_and_sent(app: Path, ignore: str, sent: set[str]) -> None:
    (app / ".dockerignore").write_text(ignore)

    archive, name = context.archive("app", "app/Dockerfile")

    with archive, tarfile.open(fileobj=archive) as tar:
        assert {entry.name for entry in tar if entry.isfile()} == sent
    assert set(context.files("app", "app/Dockerfile")) == sent
    assert name == "Dockerfile"


def test_a_dockerfile_outside_of_the_context_is_sent_beside_it(app: Path) -> None:
    (app.parent / "other.Dockerfile").write_text("FROM scratch\nRUN true\n")

    archive, name = context.archive("app", "other.Dockerfile")

    with archive, tarfile.open(fileobj=archive) as tar:
        assert tar.extractfile(name).read() == b"FROM scratch\nRUN true\n"
        assert all(entry.uid == entry.gid == 0 for entry in tar)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o100644, "-rw-r--r--"),
        (0o100755, "-rwxr-xr-x"),
        (0o120777, "Lrwxrwxrwx"),
        (0o104755, "urwxr-xr-x"),
        (0o100000, "-" * 10),
    ],
)
def test_modes_are_written_as_go_writes_them(mode: int, words: str) -> None:
    assert context.go_mode(mode) == words


def test_defaults_are_filled_in(app: Path) -> None:
    checked = inputs.with_defaults({"imageName": "127.0.0.1:5000/x:1", "build": {"context": "./app"}})

    assert checked["build"]["dockerfile"] == "./app/Dockerfile"
    assert checked["build"]["platform"].startswith("linux/")
    assert checked["build"]["contextDigest"] == context.digest("./app", "./app/Dockerfile")
    assert inputs.failures(checked) == []


def test_unknown_parts_are_tolerated(app: Path) -> None:
    for build in (
        UNKNOWN,
        {"context": "app", "args": {"BASE": UNKNOWN}},
        {"context": UNKNOWN},
        {"dockerfile": UNKNOWN},
    ):
        checked = inputs.with_defaults({"imageName": UNKNOWN, "build": build})
        assert inputs.failures(checked) == []


@given(st.dictionaries(st.sampled_from(["imageName", "build", "registry", "skipPush"]), VALUES))
def test_equal_inputs_are_no_change(given_inputs: dict) -> None:
    assert inputs.changes(given_inputs, given_inputs) == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"imageName": "a"}, {"imageName": "add"}),
        ({"build": {"target": "x"}}, {"build": {}}, {"build.target": "delete"}),
        ({"build": {"args": {"A": "1"}}}, {"build": {"args": {"A": "2"}}}, {"build.args": "update"}),
        ({"build": {"args": {"A": "1"}}}, {"build": {"args": {"A": UNKNOWN}}}, {"build.args": "update"}),
        ({"registry": {"server": "a", "password": "1"}}, {"registry": {"server": "a", "password": "2"}}, {}),
        ({"registry": {"server": "a"}}, {"registry": {"server": "b"}}, {"registry.server": "update"}),
        ({"registry": {"username": "a"}}, {}, {}),
    ],
)
def test_changes(old: dict, new: dict, expected: dict) -> None:
    assert inputs.changes(old, new) == expected


def test_secrets_are_found_at_any_depth() -> None:
    value = PropertyValue(
        {"args": PropertyValue({"A": PropertyValue("one", is_secret=True), "B": PropertyValue("open")}),
         "list": PropertyValue([PropertyValue("two")], is_secret=True)}
    )  # fmt: skip

    assert set(secrets(value)) == {"one", "two"}


def test_unknown_values_are_recognized_as_they_arrive() -> None:
    value = plain(PropertyValue({"a": PropertyValue([PropertyValue(rpc.UNKNOWN)]), "b": PropertyValue(None)}))

    assert has_unknown(value)
    assert list(value) == ["a"]
    assert not has_unknown({"a": ["text"]})


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("127.0.0.1:5000/x:1", "127.0.0.1:5000/x"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
        ("docker.io/u/x:v1.2", "docker.io/u/x"),
        ("x:1", "x"),
    ],
)
def test_the_repository_is_the_name_without_its_tag(name: str, repository: str) -> None:
    assert engine.repository(name) == repository
