"""Reads `pins.toml`, the one place where versions stand. Standard library only."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PINS = Path(__file__).resolve().parent / "pins.toml"


@dataclass(frozen=True, kw_only=True)
class Download:
    """Files of an official release: an archive, or one address a member when the URL has `{member}` in it."""

    url: str
    members: tuple[str, ...]
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class GoBuild:
    """How a tool is built from the Go module in `tools/<module>`."""

    module: str
    package: str
    ldflags: str = ""
    tags: str = ""
    copy_from: str = ""
    copy_files: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One pinned tool; the fields are explained at the top of `pins.toml`."""

    name: str
    version: str
    sources: tuple[str, ...]
    binaries: tuple[str, ...]
    raw: Mapping[str, Any]
    etcd: str = ""
    optional_binaries: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    version_command: tuple[str, ...] = ()
    version_output: str = ""
    downloads: tuple[Download, ...] = ()
    go: GoBuild | None = None
    launcher: str = ""
    beside: str = ""
    hard_link: bool = False
    debian_package: str = ""
    debian_members: Mapping[str, str] = field(default_factory=dict)
    dispatcher: bool = False
    same_build_as: str = ""
    build_minutes: float = 0.0
    build_space_mib: int = 0


@dataclass(frozen=True, kw_only=True)
class Pins:
    """All pins."""

    python: str
    uv: str
    wheels: Mapping[str, str]
    debian_release: str
    host_packages: Mapping[str, str]
    tools: Mapping[str, Tool]


def parse(text: str) -> Pins:
    """Read pins from TOML text."""
    raw = tomllib.loads(text)
    return Pins(
        python=raw["python"],
        uv=raw["uv"],
        wheels=raw["wheels"],
        debian_release=raw["debian"]["release"],
        host_packages=raw["debian"]["host"],
        tools={name: _tool(name, table) for name, table in raw["tools"].items()},
    )


@functools.cache
def load() -> Pins:
    """The pins of this checkout."""
    return parse(PINS.read_text())


def _tool(name: str, table: Mapping[str, Any]) -> Tool:
    plain = _frozen(table)
    plain["downloads"] = tuple(_download(entry, table) for entry in plain.pop("download", ()))
    if "go" in plain:
        go = _frozen(plain["go"])
        go["ldflags"] = go.get("ldflags", "").replace("{version}", table["version"])
        plain["go"] = GoBuild(**go)
    return Tool(name=name, raw=table, **plain)


def _frozen(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _download(entry: Mapping[str, Any], table: Mapping[str, Any]) -> Download:
    url = entry["url"].replace("{version}", table["version"]).replace("{etcd}", table.get("etcd", ""))
    return Download(url=url, members=tuple(entry["members"]), sha256=entry.get("sha256", ""))
