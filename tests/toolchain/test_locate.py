"""Official plugins that are there already are taken; ours are for machines without them."""

from pathlib import Path

import pytest

from toolchain import pins
from toolchain.tools import locate

DOCKER = pins.load().tools["pulumi-resource-docker"]


def install(home: Path, version: str) -> Path:
    folder = home / "plugins" / f"resource-docker-v{version}"
    folder.mkdir(parents=True)
    (folder / "pulumi-resource-docker").write_text("#!/bin/sh\n")
    (folder / "pulumi-resource-docker").chmod(0o755)
    return folder


def test_the_official_plugin_is_found_where_pulumi_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    install(tmp_path, "4.0.0")
    assert locate.plugin(DOCKER) is None

    folder = install(tmp_path, DOCKER.version)

    assert locate.plugin(DOCKER) == folder


def test_a_half_installed_plugin_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    folder = install(tmp_path, DOCKER.version)

    (folder.parent / f"{folder.name}.partial").touch()

    assert locate.plugin(DOCKER) is None


def test_the_language_host_beside_the_cli_is_taken(tmp_path: Path) -> None:
    tool = pins.load().tools["pulumi-language-python"]
    assert locate.beside(tool, tmp_path) is None
    assert locate.beside(tool, None) is None

    (tmp_path / "pulumi-language-python").write_text("#!/bin/sh\n")
    (tmp_path / "pulumi-language-python").chmod(0o755)

    assert locate.beside(tool, tmp_path) == tmp_path
