"""What must agree with pins.toml."""

import importlib.metadata
import re
import tomllib

import pytest

from toolchain import host, paths, pins
from toolchain.tools import CLIENT, CLUSTER, NAMED_CLUSTER, store

ROOT = paths.repo_root()
PINS = pins.load()


def locked(file: str) -> dict[str, str]:
    text = (ROOT / file).read_text()
    return {
        name.lower(): version for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ \\\n]+)", text, re.MULTILINE)
    }


@pytest.mark.parametrize("wheel", PINS.wheels)
def test_wheels_are_pinned_alike_in_pyproject_lock_and_environment(wheel: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    plain = [re.sub(r"\[.*?\]", "", entry).split(";")[0].strip() for entry in project["dependencies"]]
    assert f"{wheel}=={PINS.wheels[wheel]}" in plain
    assert locked("requirements.txt")[wheel] == PINS.wheels[wheel]
    assert importlib.metadata.version(wheel) == PINS.wheels[wheel]


def test_plugins_have_the_version_of_their_wheels() -> None:
    assert PINS.tools["pulumi"].version == PINS.wheels["pulumi"]
    assert PINS.tools["pulumi-language-python"].version == PINS.wheels["pulumi"]
    assert PINS.tools["pulumi-resource-kubernetes"].version == PINS.wheels["pulumi-kubernetes"]
    assert PINS.tools["pulumi-resource-docker"].version == PINS.wheels["pulumi-docker"]


def test_python_and_uv_are_pinned_alike() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["requires-python"].startswith(f">={PINS.python},")
    assert locked("toolchain/bootstrap-requirements.txt") == {"uv": PINS.uv}


def test_every_lock_entry_has_hashes() -> None:
    for file in ("requirements.txt", "toolchain/bootstrap-requirements.txt"):
        text = (ROOT / file).read_text()
        entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
        assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", [name for name, tool in PINS.tools.items() if tool.go is not None])
def test_go_modules_require_the_pinned_version(name: str) -> None:
    tool = PINS.tools[name]
    text = (store.MODULES / tool.go.module / "go.mod").read_text()
    required = re.findall(r"^(?:require)?\s*(\S+) (v\S+)$", text, re.MULTILINE)

    # The provider's module is pinned by the commit of its release; its SDK carries the number.
    assert any(version == f"v{tool.version}" for _, version in required), required[:5]
    assert (store.MODULES / tool.go.module / "go.sum").exists()


def test_etcd_is_the_version_in_the_module() -> None:
    text = (store.MODULES / "kubernetes-node" / "go.mod").read_text()

    assert f"go.etcd.io/etcd/server/v3 v{PINS.tools['kubernetes'].etcd}" in text


def test_every_source_of_a_tool_is_complete() -> None:
    for tool in PINS.tools.values():
        needs = {
            "go": tool.go or tool.same_build_as,
            "download": tool.downloads,
            "path": tool.version_output,
            "debian": tool.debian_package,
            "python": tool.launcher,
            "beside": tool.beside,
            "plugin": tool.name.startswith("pulumi-resource-"),
        }
        assert [source for source in tool.sources if not needs[source]] == [], tool.name


def test_every_tool_is_asked_for_by_somebody() -> None:
    assert set(PINS.tools) == {*CLIENT, *CLUSTER, *NAMED_CLUSTER}


def test_host_packages_are_known_to_the_check() -> None:
    assert set(host.missing_packages()) <= set(PINS.host_packages)


def test_no_version_stands_in_the_code() -> None:
    """A version written twice drifts."""
    versions = {tool.version for tool in PINS.tools.values()} | set(PINS.wheels.values())
    found = [
        (file.name, version)
        for file in (ROOT / "toolchain").rglob("*.py")
        for version in versions
        if re.search(rf'["\'=]v?{re.escape(version)}\b', file.read_text())
    ]

    assert found == []
