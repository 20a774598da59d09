"""Reads and edits `Pulumi.<stack>.yaml`: slots, live and images. Comments and order stay; the difference is minimal.

The Pulumi program reads the same file through Pulumi; this module is for the command line, which edits it.
"""

import contextlib
import difflib
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from infra.names import PROJECT, SLOTS, Slot
from ml.errors import ConfigError
from ml.gate.accepted import KEY, Acceptance, acceptances
from ml.stack.slots import Held, State

_STACK = re.compile(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?")
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class StackFile:
    """One stack's file as read."""

    path: Path
    text: str
    state: State
    kube_context: str
    accepted: tuple[Acceptance, ...] = ()
    """The waivers that the stack accepts by its own word."""


def path_of(root: Path, stack: str) -> Path:
    """Where a stack's configuration stands."""
    if _STACK.fullmatch(stack) is None:
        message = f"stack {stack!r}: must be lower-case letters, digits and dashes"
        raise ConfigError("ML-CONF-011", message, "pulumi stack ls")
    return root / f"Pulumi.{stack}.yaml"


def read(root: Path, stack: str) -> StackFile:
    """The stack's configuration, as far as releases go.

    Raises:
        ConfigError: If there is no such file or what it says about slots cannot be read.
    """
    path = path_of(root, stack)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        known = ", ".join(sorted(p.name.split(".")[1] for p in root.glob("Pulumi.*.yaml"))) or "none"
        message = f"stack {stack!r} has no {path.name}; there are: {known}"
        raise ConfigError("ML-CONF-012", message, f"cp Pulumi.staging.yaml {path.name}") from error
    config = _config(_load(path, text), path)
    context = config.get(f"{PROJECT}:kubeContext")
    return StackFile(
        path=path,
        text=text,
        state=_state(config, path),
        kube_context=str(context or ""),
        accepted=_accepted(config, path),
    )


def render(file: StackFile, state: State) -> str:
    """The file's text with `state` in it; equal to the old text when nothing changes."""
    if state == file.state:
        return file.text
    data = _load(file.path, file.text)
    config = data["config"] if isinstance(data.get("config"), CommentedMap) else None
    if config is None:
        config = data["config"] = CommentedMap()
    changed = {slot: held for slot, held in state.slots.items() if file.state.slots.get(slot) != held}
    slots = _table(config, "slots") if changed else CommentedMap()
    for slot, held in changed.items():
        slots[slot] = _line({"release": held.release} | ({"image": held.image} if held.image else {}))
    if state.live != file.state.live or f"{PROJECT}:live" not in config:
        config[f"{PROJECT}:live"] = state.live
    if state.weight != file.state.weight:
        _table(config, "canary")["weight"] = state.weight
    images = _table(config, "images") if state.images != file.state.images else CommentedMap()
    for name, reference in state.images.items():
        if images.get(name) != reference:
            images[name] = reference
    out = io.StringIO()
    _yaml(file.text).dump(data, out)
    return out.getvalue()


def write(file: StackFile, text: str) -> None:
    """Replace the file's content, all or nothing."""
    scratch = file.path.with_name(f".{file.path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.chmod(file.path.stat().st_mode)
        scratch.replace(file.path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            scratch.unlink()


def difference(file: StackFile, text: str) -> str:
    """The change as a unified diff; empty when there is none."""
    name = file.path.name
    lines = difflib.unified_diff(file.text.splitlines(), text.splitlines(), f"a/{name}", f"b/{name}", "", "", 1, "")
    return "\n".join(lines)


def _yaml(text: str) -> YAML:
    yaml = YAML()  # round trip: keeps comments, order and quotes
    yaml.preserve_quotes = True
    yaml.width = 4096  # a slot is one line, however long its digest makes it
    yaml.explicit_start = text.startswith("---")
    nested = re.search(r"^( +)\S", text, re.MULTILINE)
    yaml.indent(mapping=len(nested[1]) if nested else 2, sequence=4, offset=2)
    return yaml


def _load(path: Path, text: str) -> CommentedMap:
    try:
        data = _yaml(text).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        message = f"{path.name}{where}: not YAML: {getattr(error, 'problem', None) or 'cannot be read'}"
        raise ConfigError("ML-CONF-013", message, "correct the file") from error
    if data is None:
        return CommentedMap()
    if not isinstance(data, CommentedMap):
        raise ConfigError("ML-CONF-013", f"{path.name}: must be a mapping with a key config", "correct the file")
    return data


def _config(data: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    config = data.get("config")
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        raise ConfigError("ML-CONF-013", f"{path.name}: config must be a mapping", "correct the file")
    return config


def _state(config: Mapping[str, Any], path: Path) -> State:
    problems: list[str] = []
    raw_slots = config.get(f"{PROJECT}:slots") or {}
    slots: dict[Slot, Held] = {}
    for name, raw in raw_slots.items() if isinstance(raw_slots, Mapping) else [("slots", raw_slots)]:
        slot = _slot(name)
        held = _held(raw)
        if slot is None or held is None:
            problems.append(f"slot {name!r}: must be blue or green with a release and, optionally, an image by digest")
        else:
            slots[slot] = held
    live = config.get(f"{PROJECT}:live", SLOTS[0])
    live_slot = _slot(live)
    if live_slot is None:
        problems.append(f"live={live!r}: must be {' or '.join(SLOTS)}")
    images = config.get(f"{PROJECT}:images") or {}
    if not isinstance(images, Mapping) or not all(isinstance(value, str) for value in images.values()):
        problems.append("images: must be a mapping of names to images by digest")
    if problems or live_slot is None:
        message = f"{path.name}: " + "; ".join(problems)
        raise ConfigError("ML-CONF-014", message, "correct the file; docs/configuration.md has an example")
    return State(
        slots=slots,
        live=live_slot,
        images={str(name): str(value) for name, value in images.items()},
        weight=_weight(config.get(f"{PROJECT}:canary")),
    )


def _weight(canary: object) -> int:
    """The weight of a route; what is wrong with it is the program's to say."""
    weight = canary.get("weight") if isinstance(canary, Mapping) else None
    return weight if isinstance(weight, int) and not isinstance(weight, bool) else 0


def _accepted(config: Mapping[str, Any], path: Path) -> tuple[Acceptance, ...]:
    raw = config.get(f"{PROJECT}:{KEY}") or {}
    found, faults = acceptances(raw if isinstance(raw, Mapping) else {"": raw})
    if faults:
        listed = "; ".join(f"{KEY}.{fault.path}: got {fault.got!r}, must be {fault.rule}" for fault in faults)
        raise ConfigError("ML-CONF-014", f"{path.name}: {listed}", "correct the file; docs/security.md has an example")
    return found


def _slot(name: object) -> Slot | None:
    return next((slot for slot in SLOTS if slot == name), None)


def _held(raw: object) -> Held | None:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("release"), str) or set(raw) - {"release", "image"}:
        return None
    image = raw.get("image")
    if image is not None and (not isinstance(image, str) or _DIGEST.fullmatch(image) is None):
        return None
    return Held(release=str(raw["release"]), image=None if image is None else str(image))


def _table(config: CommentedMap, key: str) -> CommentedMap:
    """The mapping under a key, made if it is not there; one entry a line if it was empty."""
    name = f"{PROJECT}:{key}"
    if not config.get(name):
        config[name] = CommentedMap()
        config[name].fa.set_block_style()
    table: CommentedMap = config[name]
    return table


def _line(entry: Mapping[str, str]) -> CommentedMap:
    line = CommentedMap(entry)
    line.fa.set_flow_style()
    return line
