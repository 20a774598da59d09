"""The resource's inputs: defaults, checks and what counts as a change."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.auth import resolve_repository_name
from docker.errors import InvalidRepository

from toolchain.plugins.docker_image import context
from toolchain.plugins.docker_image.values import UNKNOWN, has_unknown

TOP = {"imageName": str, "build": dict, "buildOnPreview": bool, "registry": dict, "skipPush": bool}
BUILD = {
    "addHosts": list,
    "args": dict,
    "builderVersion": str,
    "cacheFrom": dict,
    "context": str,
    "contextDigest": str,
    "dockerfile": str,
    "network": str,
    "platform": str,
    "target": str,
}
BUILDERS = ("BuilderV1", "BuilderBuildKit")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One wrong input."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Image:
    """Complete, known inputs."""

    name: str
    skip_push: bool = False
    context: str = "."
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    platform: str = ""
    network: str = ""
    add_hosts: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    server: str = ""
    username: str = ""
    password: str = ""


def with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as Check returns them: defaults filled in, and the digest of the build context when it is known."""
    inputs: dict[str, Any] = {"buildOnPreview": False, "skipPush": False, **given}
    if inputs.get("build") is UNKNOWN:
        return inputs
    build: dict[str, Any] = {"context": ".", "platform": host_platform(), **inputs.get("build", {})}
    if build["context"] is not UNKNOWN:
        build.setdefault("dockerfile", os.path.join(build["context"], "Dockerfile"))  # noqa: PTH118
        # (pathlib would drop a leading `./`, which is part of the official state)
        if build["dockerfile"] is not UNKNOWN and Path(build["dockerfile"]).is_file():
            build["contextDigest"] = context.digest(build["context"], build["dockerfile"])
    inputs["build"] = build
    return inputs


def failures(inputs: Mapping[str, Any]) -> list[Failure]:
    """Everything that is wrong with inputs that have their defaults."""
    found = list(_wrong_types("", inputs, TOP))
    build = inputs.get("build")
    if isinstance(build, dict):
        found += _wrong_types("build.", build, BUILD)
        found += _wrong_build(build)
    name = inputs.get("imageName")
    if not name:
        found.append(Failure(path="imageName", reason="is required"))
    elif isinstance(name, str) and inputs.get("skipPush") is not True:
        found += _wrong_name(name)
    return found


def host_platform() -> str:
    """What the engine of this machine builds for."""
    machine = platform.machine()
    return f"linux/{ARCHITECTURES.get(machine, machine)}"


def image(inputs: Mapping[str, Any]) -> Image:
    """Known inputs as a record."""
    build = inputs.get("build", {})
    registry = inputs.get("registry", {})
    return Image(
        name=inputs["imageName"],
        skip_push=bool(inputs.get("skipPush")),
        context=build.get("context", "."),
        dockerfile=build.get("dockerfile", "Dockerfile"),
        args=build.get("args", {}),
        target=build.get("target", ""),
        platform=build.get("platform", ""),
        network=build.get("network", ""),
        add_hosts=tuple(build.get("addHosts", ())),
        cache_from=tuple(build.get("cacheFrom", {}).get("images", ())),
        server=registry.get("server", ""),
        username=registry.get("username", ""),
        password=registry.get("password", ""),
    )


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Path to "add", "delete" or "update" for each input that differs; a registry counts by its server only."""
    before, after = _comparable(old), _comparable(new)
    found = {}
    for path in sorted(set(before) | set(after)):
        if path not in before:
            found[path] = "add"
        elif path not in after:
            found[path] = "delete"
        elif has_unknown(after[path]) or before[path] != after[path]:
            found[path] = "update"
    return found


def _comparable(inputs: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in inputs.items():
        if key == "build" and isinstance(value, dict):
            flat |= {f"build.{name}": item for name, item in value.items()}
        elif key == "registry" and isinstance(value, dict):
            flat |= {"registry.server": value["server"]} if "server" in value else {}
        else:
            flat[key] = value
    return flat


def _wrong_types(prefix: str, inputs: Mapping[str, Any], types: Mapping[str, type]) -> list[Failure]:
    found = []
    for key, value in inputs.items():
        if key not in types:
            found.append(Failure(path=prefix + key, reason=f"is no input of docker.Image; there are {sorted(types)}"))
        elif value is not UNKNOWN and not isinstance(value, types[key]):
            found.append(
                Failure(path=prefix + key, reason=f"must be a {types[key].__name__}, got a {type(value).__name__}")
            )
    return found


def _wrong_build(build: Mapping[str, Any]) -> list[Failure]:
    arguments = build.get("args", {})
    found = [
        Failure(path=f"build.args.{name}", reason=f"must be a string, got a {type(value).__name__}")
        for name, value in (arguments.items() if isinstance(arguments, dict) else ())
        if value is not UNKNOWN and not isinstance(value, str)
    ]
    builder = build.get("builderVersion", BUILDERS[0])
    if builder is not UNKNOWN and builder not in BUILDERS:
        found.append(Failure(path="build.builderVersion", reason=f"must be one of {BUILDERS}, got {builder!r}"))
    if isinstance(build.get("cacheFrom"), dict) and "images" not in build["cacheFrom"]:
        found.append(Failure(path="build.cacheFrom", reason="requires an `images` field"))
    where, dockerfile = build.get("context"), build.get("dockerfile")
    if isinstance(where, str) and not Path(where).is_dir():
        found.append(Failure(path="build.context", reason=f"is no folder: {where!r} (from {Path.cwd()})"))
    elif isinstance(where, str) and isinstance(dockerfile, str) and not Path(dockerfile).is_file():
        nearby = Path(where, dockerfile)
        hint = f". Try {str(nearby)!r}: the path is relative to the program, not to the context" * nearby.is_file()
        found.append(Failure(path="build.dockerfile", reason=f"no such file: {dockerfile!r}{hint}"))
    return found


def _wrong_name(name: str) -> list[Failure]:
    try:
        host, _ = resolve_repository_name(name)
    except InvalidRepository as error:
        return [Failure(path="imageName", reason=f"{name!r}: {error}")]
    if host == "docker.io" and not name.startswith(("docker.io/", "index.docker.io/")):
        reason = f"{name!r} names no registry; to push to Docker Hub write 'docker.io/{name}', or set skipPush"
        return [Failure(path="imageName", reason=reason)]
    return []
