"""The cache of tools: `<cache>/tools/<name>-<key>/<binary>`, complete or absent.

The key is a hash of the tool's pins, its module files and the platform. A folder is filled under a temporary name and
renamed, so that a killed run leaves nothing that looks finished; leftovers of dead processes are removed.
"""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain import paths
from toolchain.pins import Pins, Tool

MODULES = Path(__file__).resolve().parent


def key(tool: Tool, pins: Pins, modules: Path = MODULES) -> str:
    """What a cached folder depends on, as 16 hex digits."""
    digest = hashlib.sha256()
    tables = [dict(tool.raw), dict(pins.tools[tool.same_build_as].raw) if tool.same_build_as else {}]
    digest.update(json.dumps([tables, platform.system(), platform.machine()], sort_keys=True).encode())
    build = builder(tool, pins).go
    if build is not None:
        for file in module_files(modules / build.module):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def builder(tool: Tool, pins: Pins) -> Tool:
    """The tool whose Go module makes this one: itself, or the one that carries it."""
    return pins.tools[tool.same_build_as] if tool.same_build_as else tool


def module_files(module: Path) -> list[Path]:
    """The files of a Go module that a build reads."""
    return sorted(file for file in module.iterdir() if file.suffix == ".go" or file.name in {"go.mod", "go.sum"})


def folder(tool: Tool, pins: Pins, modules: Path = MODULES) -> Path:
    """Where the tool's binaries are or will be."""
    return paths.cache() / "tools" / f"{tool.name}-{key(tool, pins, modules)}"


def is_complete(target: Path, tool: Tool) -> bool:
    """Whether the cached folder can be used."""
    return all(os.access(target / name, os.X_OK) for name in tool.binaries)


@contextmanager
def filling(target: Path) -> Iterator[Path]:
    """An empty folder that becomes `target` when the block ends well; the caller holds the tool's lock."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = target.parent / f".{target.name}.{os.getpid()}"
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
