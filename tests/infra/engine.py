"""The recording engine: `Deploy` runs a program part against mocks and returns everything that it registered."""

import contextvars
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc
from pulumi.runtime import settings as runtime_settings


@dataclass(frozen=True)
class Registered:
    """One resource as the engine would have seen it."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    parent: str
    provider: str
    depends_on: tuple[str, ...]
    ignore_changes: tuple[str, ...]
    retain_on_delete: bool
    protect: bool
    hooks: tuple[str, ...]
    secrets: frozenset[str]
    """Top-level inputs that are secret."""

    @property
    def k8s_name(self) -> str:
        """`metadata.name`; the logical name when it is auto-named."""
        return str(self.inputs.get("metadata", {}).get("name", self.name))


class Deployed(list[Registered]):
    """Everything that one `deploy` registered, in order."""

    exports: Mapping[str, Any]
    root: Path
    """The repository that the whole program stood in."""

    def of(self, kind: str) -> list[Registered]:
        """All resources whose type ends in `:kind`."""
        return [resource for resource in self if resource.type.rsplit(":", 1)[-1] == kind]

    def one(self, kind: str, name: str) -> Registered:
        """The one resource of that kind with that object name."""
        found = [resource for resource in self.of(kind) if name in (resource.k8s_name, resource.name)]
        assert len(found) == 1, f"{len(found)} of {kind} {name}; there are {[r.k8s_name for r in self.of(kind)]}"
        return found[0]


class _Engine(pulumi.runtime.Mocks):
    """Answers like the providers where the program reads outputs; refuses every invoke."""

    def __init__(self, outputs: Mapping[str, Mapping[str, Any]]) -> None:
        self.outputs = outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"unexpected invoke {args.token}")

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        state = dict(args.inputs)
        if args.typ == "docker:index/image:Image":
            repository = args.inputs["imageName"].rpartition(":")[0]
            state["repoDigest"] = f"{repository}@sha256:{args.name.encode().hex()[:64]:0<64}"
        elif args.typ.startswith("kubernetes:"):
            state = _kubernetes_state(args)
        return f"{args.name}-id", {**state, **self.outputs.get(args.name, {})}


def _kubernetes_state(args: pulumi.runtime.MockResourceArgs) -> dict[str, Any]:
    """What the API server adds: a name, and a cluster IP."""
    if args.typ.startswith(("kubernetes:yaml", "kubernetes:helm")):
        raise AssertionError(f"{args.typ}: manifests from elsewhere hide resources from the policies")
    metadata = {"name": args.name, **args.inputs.get("metadata", {})}
    state = {**args.inputs, "metadata": metadata}
    if args.typ.endswith(":Service"):
        state["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}
    return state


class _Hooks:
    """Stands in for the server that the engine would call a hook through; nothing calls them here."""

    def register_resource_hook(self, _hook: pulumi.ResourceHook) -> None:
        return None


class _Monitor(mocks.MockMonitor):
    """Keeps the whole registration, not only its inputs, also of a second resource with the same URN."""

    def __init__(self, engine: _Engine) -> None:
        super().__init__(engine)
        self.seen: list[Registered] = []

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  (the gRPC method)
        response = super().RegisterResource(request)
        if request.type == "pulumi:pulumi:Stack":
            return response
        fields = request.object.fields
        self.seen.append(
            Registered(
                urn=response.urn,
                type=request.type,
                name=request.name,
                inputs=_plain(rpc.deserialize_properties(request.object)),
                parent=request.parent,
                provider=request.provider,
                depends_on=tuple(sorted(request.dependencies)),
                ignore_changes=tuple(request.ignoreChanges),
                retain_on_delete=request.retainOnDelete,
                protect=request.protect,
                hooks=(
                    *request.hooks.before_create,
                    *request.hooks.before_update,
                    *request.hooks.after_create,
                    *request.hooks.after_update,
                ),
                secrets=frozenset(key for key, value in fields.items() if _is_secret(value)),
            ),
        )
        return response


def _is_secret(value: Any) -> bool:
    return value.HasField("struct_value") and rpc._special_sig_key in value.struct_value.fields


def _plain(value: Any) -> Any:
    """Secrets unwrapped and whole floats as integers, which is how they were written."""
    if isinstance(value, dict):
        if rpc._special_sig_key in value and "value" in value:
            return _plain(value["value"])
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


Build = Callable[[], Any]


class Deploy:
    """Runs `build` in a fresh mock engine. Whatever it raises comes out; `registered` still tells what it had made."""

    def __init__(self) -> None:
        self.registered = Deployed()

    def __call__(
        self,
        build: Build,
        *,
        stack: str = "staging",
        preview: bool = False,
        config: Mapping[str, str] | None = None,
        outputs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Deployed:
        """Run `build`.

        Args:
            build: The program part, such as `lambda: Slot("blue", SlotArgs(...))`.
            stack: Name of the stack.
            preview: Whether outputs of resources are unknown, as in `pulumi preview`.
            config: Values in the project's namespace, as text or JSON text.
            outputs: Resource name -> outputs that differ from its inputs.
        """
        monitor = _Monitor(_Engine(outputs or {}))
        exports: dict[str, Any] = {}

        def run() -> None:
            pulumi.runtime.set_all_config({f"ml-pipeline:{key}": value for key, value in (config or {}).items()})
            pulumi.runtime.set_mocks(monitor.mocks, "ml-pipeline", stack, preview=preview, monitor=monitor)
            runtime_settings.SETTINGS.callbacks = _Hooks()
            pulumi.runtime.test(lambda: self._run(build, exports))()

        try:
            # pulumi keeps settings, configuration and the root stack in context variables: a new context forgets them.
            contextvars.Context().run(run)
        finally:
            self.registered = Deployed(monitor.seen)
            self.registered.exports = _plain(exports)
        twice = [urn for urn, count in Counter(resource.urn for resource in monitor.seen).items() if count > 1]
        assert not twice, f"two resources are {twice}"
        return self.registered

    @staticmethod
    def _run(build: Build, exports: dict[str, Any]) -> Any:
        build()
        root = runtime_settings.get_root_resource()
        waiting = pulumi.Output.all(**getattr(root, "outputs", {}))
        return waiting.apply(exports.update)
