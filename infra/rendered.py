"""Every Kubernetes object of a stack as JSON, without an engine, a cluster or a release: for the scan `manifests`.

    python -m infra.rendered OUT.json staging prod

Runs the program as it stands (`infra/__main__.py`) with the configuration of each stack's own file, against an engine
that answers every registration with its inputs. Whatever asks for evidence or for a cluster is answered by stand-ins:
what is looked at here is the objects, not the releases. Also asks the policies of the pack that concern objects alone.
"""

import asyncio
import contextvars
import json
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pulumi
import yaml
from pulumi.runtime import settings as runtime_settings
from pulumi_policy import ResourceValidationArgs
from pulumi_policy.proxy import unknown_checking_proxy

from infra.cluster import Cluster
from infra.names import PLATFORM_IMAGES, PROJECT, SLOTS
from infra.release import Evidence
from infra.settings import Settings, parse
from ml.release.example import example_bytes
from policies import images, opaque, pods, services

_DIGEST = f"@sha256:{'0' * 64}"
_PROGRAM = Path(__file__).with_name("__main__.py")
_POLICIES = (images.POLICY, opaque.POLICY, pods.POLICY, services.POLICY)


class _Engine(pulumi.runtime.Mocks):
    """Keeps the inputs of every Kubernetes object; each resource's outputs are its inputs."""

    def __init__(self) -> None:
        self.objects: list[tuple[str, dict[str, Any]]] = []

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        """No function of a provider is called by the program."""
        raise ValueError(f"unexpected call of {args.token}")

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Keep the object, named after its resource where Kubernetes would name it."""
        state = dict(args.inputs)
        if args.typ.startswith("kubernetes:"):
            state["metadata"] = {"name": args.name, **state.get("metadata", {})}
            self.objects.append((args.typ, _without_secrets(_plain(state))))
        return f"{args.name}-id", state


class _Hooks:
    """Stands in for the server that the engine would call a hook through; nothing calls them here."""

    def register_resource_hook(self, _hook: pulumi.ResourceHook) -> None:
        return None


def render(stack: str, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects of a stack in the order of their registration, each with `violations` of the policies.

    Args:
        stack: The stack's name.
        config: The `config` of its file, without the project's prefix.
    """
    engine = _Engine()
    settings = _settings(stack, config)
    contextvars.Context().run(lambda: _run(stack, settings, engine))
    return [
        {"type": kind, "object": found, "violations": _violations(kind, found)}
        for kind, found in engine.objects
        if "kind" in found  # the provider itself has none
    ]


def _settings(stack: str, config: Mapping[str, Any]) -> Settings:
    """The stack's settings with both slots filled and every image given, so that nothing is built."""
    given = {
        "build": "true",
        "images": {name: f"registry.invalid/{PROJECT}/{name}{_DIGEST}" for name in PLATFORM_IMAGES},
        "slots": {
            slot: {"release": "example-0001", "image": f"registry.invalid/{PROJECT}/serving{_DIGEST}"} for slot in SLOTS
        },
        "live": SLOTS[0],
    }
    values = {**config, **given}
    return parse({key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}, stack)


def _run(stack: str, settings: Settings, engine: _Engine) -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(engine, PROJECT, stack, preview=False)
    runtime_settings.SETTINGS.callbacks = _Hooks()
    cluster = Cluster(kubeconfig=Path("kubeconfig"), context="stand-in", node_host="127.0.0.1")
    known: dict[str, Any] = {
        "release": "example-0001",
        "record": example_bytes().decode(),
        "serving": "{}",
        # judged against the other slot's, so that all that a release ever brings with it is rendered
        "champions": ("0" * 64,),
    }
    evidence = Evidence(**{field.name: known.get(field.name, "0" * 64) for field in fields(Evidence)})
    answers: dict[str, Callable[..., Any]] = {
        "infra.settings.load_settings": lambda: settings,
        "infra.settings.load_cluster": lambda *_: cluster,
        "infra.release.load_evidence": lambda *_, **__: dict.fromkeys(settings.slots, evidence),
        "infra.delivery.image_gate.refuse_unproven_images": lambda *_: None,
        "infra.waivers.accepted_waivers": lambda *_: {},
        "infra.delivery.capacity.put_back_earlier": lambda *_: None,
    }
    with ExitStack() as stand_ins:
        for name, answer in answers.items():
            stand_ins.enter_context(patch(name, answer))
        pulumi.runtime.test(lambda: runpy.run_path(str(_PROGRAM), run_name="__main__") and None)()  # type: ignore[no-untyped-call]


def _violations(kind: str, found: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    name = str(found["metadata"]["name"])
    args = ResourceValidationArgs(kind, unknown_checking_proxy(dict(found)), name, name, None, None, {}, {})  # type: ignore[arg-type]
    for policy in _POLICIES:
        policy.validate(args, lambda message, _urn, rule=policy.name: lines.append(f"{rule}: {message}"))  # type: ignore[misc]
    return lines


def _without_secrets(found: dict[str, Any]) -> dict[str, Any]:
    """A Secret's keys without its values: they are stand-ins, and whoever reads the file cannot know that."""
    return {key: dict.fromkeys(part, "") if key in ("data", "stringData") and found.get("kind") == "Secret" else part
            for key, part in found.items()}  # fmt: skip


def _plain(value: Any) -> Any:
    """Without what is not set, and whole floats as integers, which is how they were written."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def main(words: Sequence[str]) -> None:
    """Write `{stack: [object, ...]}`."""
    out, stacks = Path(words[0]), words[1:]
    root = _PROGRAM.parent.parent
    found = {}
    for stack in stacks:
        text = yaml.safe_load((root / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")) or {}
        config = {key.removeprefix(f"{PROJECT}:"): value for key, value in (text.get("config") or {}).items()}
        found[stack] = render(stack, config)
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
