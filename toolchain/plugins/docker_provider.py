"""The plugin `pulumi-resource-docker` with its one resource `docker:index/image:Image`.

Names, types and state equal the official plugin's 5.1.0, so the same program and stack work with either. Images in a
registry are never deleted. It builds with the engine's first-generation builder whatever `builderVersion` says.
"""

import asyncio
import contextlib
import importlib.metadata
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import grpc
from pulumi.provider.experimental import provider as p
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2_grpc

from toolchain.plugins.docker_image import context, inputs
from toolchain.plugins.docker_image.engine import Engine, ImageError
from toolchain.plugins.docker_image.values import computed, has_unknown, plain, secrets
from toolchain.plugins.orphans import end_with_engine

SCHEMA = Path(__file__).parent / "docker_image" / "schema.json"
OLD_INPUTS = "__inputs"
KINDS = {"add": p.PropertyDiffKind.ADD, "delete": p.PropertyDiffKind.DELETE, "update": p.PropertyDiffKind.UPDATE}
TYPE = "docker:index/image:Image"

Properties = dict[str, PropertyValue]
Call = grpc.aio.ServicerContext[Any, Any]


class DockerProvider(p.Provider):
    """Answers what the engine asks about images."""

    def __init__(self, engine_address: str) -> None:
        self._engine_address = engine_address
        self._docker_host = ""

    async def get_schema(self, _request: p.GetSchemaRequest) -> p.GetSchemaResponse:
        """The schema of the one resource."""
        return p.GetSchemaResponse(SCHEMA.read_text())

    async def configure(self, request: p.ConfigureRequest) -> p.ConfigureResponse:
        """Take the engine's address from `docker:host`; secrets are wanted as such, to mask them."""
        self._docker_host = request.variables.get("docker:config:host", "")
        return p.ConfigureResponse(accept_secrets=True, supports_preview=True)

    async def check(self, request: p.CheckRequest) -> p.CheckResponse:
        """Fill in defaults and the digest of the build context; list everything that is wrong."""
        _require_image(request.type)
        given = {key: plain(value) for key, value in request.new_inputs.items() if value.value is not None}
        try:
            checked = await asyncio.to_thread(inputs.with_defaults, given)
        except OSError as error:
            return p.CheckResponse(request.new_inputs, [p.CheckFailure("build.context", str(error))])
        wrong = [p.CheckFailure(failure.path, failure.reason) for failure in inputs.failures(checked)]
        return p.CheckResponse(_merged(request.new_inputs, checked), wrong)

    async def diff(self, request: p.DiffRequest) -> p.DiffResponse:
        """Compare inputs: the recorded ones in the state with the new ones."""
        recorded = request.old_state.get(OLD_INPUTS)
        old = plain(recorded) if recorded is not None else {}
        changed = inputs.changes(old, _plain_map(request.new_inputs))
        return p.DiffResponse(
            changes=bool(changed),
            diffs=sorted({path.split(".")[0] for path in changed}),
            detailed_diff={path: p.PropertyDiff(KINDS[kind], input_diff=True) for path, kind in changed.items()},
        )

    async def create(self, request: p.CreateRequest) -> p.CreateResponse:
        """Build and push."""
        outputs = await self._apply(request.urn, request.properties, preview=request.preview)
        name = request.properties["imageName"].value
        return p.CreateResponse("" if request.preview else str(name), outputs)

    async def update(self, request: p.UpdateRequest) -> p.UpdateResponse:
        """Build and push again."""
        return p.UpdateResponse(await self._apply(request.urn, request.news, preview=request.preview))

    async def delete(self, request: p.DeleteRequest) -> None:
        """Forget the image; the registry and the engine keep it, because another stack may run it."""

    async def _apply(self, urn: str, properties: Properties, *, preview: bool) -> Properties:
        known = _plain_map(properties)
        if preview and (has_unknown(known) or not known.get("buildOnPreview")):
            return self._outputs(properties, known, computed())
        image = inputs.image(known)
        masked = [secret for value in properties.values() for secret in secrets(value)] + [image.password] * bool(
            image.password
        )
        async with Logger(self._engine_address, urn) as logger:
            engine = Engine(self._docker_host, logger.line, masked)
            built = await asyncio.to_thread(engine.build, image)
            by_digest = built if preview or image.skip_push else await asyncio.to_thread(engine.push, image)
        return self._outputs(properties, known, PropertyValue(by_digest))

    def _outputs(self, properties: Properties, known: Mapping[str, Any], repo_digest: PropertyValue) -> Properties:
        name = properties["imageName"].with_secret(is_secret=False)
        build = known.get("build")
        build = build if isinstance(build, dict) else {}
        registry = known.get("registry")
        registry = registry if isinstance(registry, dict) else {}
        where, dockerfile = build.get("context"), build.get("dockerfile")
        outputs = {
            "imageName": name,
            "baseImageName": name,
            "registryServer": _value(registry.get("server", "")),
            "context": _value(where),
            "dockerfile": _value(dockerfile),
            "repoDigest": repo_digest,
            OLD_INPUTS: PropertyValue(properties, is_secret=True),
        }
        if isinstance(where, str) and isinstance(dockerfile, str):
            outputs["dockerfile"] = PropertyValue(context.inside(where, dockerfile))
        if "platform" in build:
            outputs["platform"] = _value(build["platform"])
        return outputs


class Logger:
    """Sends lines to the engine's log as passing status of one resource."""

    def __init__(self, address: str, urn: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = engine_pb2_grpc.EngineStub(self._channel)
        self._urn = urn

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._channel.close()

    def line(self, text: str) -> None:
        """Show a line; a step of the Dockerfile or a line of its output."""
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=self._urn, ephemeral=True)
        with contextlib.suppress(grpc.RpcError):  # the engine is ending; progress is then of no interest
            self._stub.Log(request)


class Servicer(ProviderServicer):
    """Turns our errors into plain messages; without it the user sees a traceback of the gRPC library."""

    async def Create(self, request: Any, context: Call) -> Any:  # noqa: N802
        """See the base class."""
        return await _plainly(super().Create(request, context), context)  # type: ignore[no-untyped-call]  # (the SDK's base)

    async def Update(self, request: Any, context: Call) -> Any:  # noqa: N802
        """See the base class."""
        return await _plainly(super().Update(request, context), context)  # type: ignore[no-untyped-call]  # (the SDK's base)

    async def Check(self, request: Any, context: Call) -> Any:  # noqa: N802
        """See the base class."""
        return await _plainly(super().Check(request, context), context)


async def _plainly(answer: Any, call: Call) -> Any:
    try:
        return await answer
    except ImageError as error:
        await call.abort(grpc.StatusCode.UNKNOWN, str(error))


def _require_image(kind: str) -> None:
    # Inside components the SDK hands over the whole chain of parents' types: `parent$docker:index/image:Image`.
    if kind.rpartition("$")[2] != TYPE:
        message = f"this plugin has only {TYPE}, not {kind}"
        raise ImageError(f"{message}\n  Fix: install the official plugin (`pulumi plugin install resource docker`)")


def _plain_map(properties: Properties) -> dict[str, Any]:
    return {key: plain(value) for key, value in properties.items() if value.value is not None}


def _merged(given: Properties, checked: Mapping[str, Any]) -> Properties:
    """The given values, with their secret marks, plus what the defaults added."""
    merged = {key: value for key, value in given.items() if value.value is not None}
    for key, value in checked.items():
        if key not in merged:
            merged[key] = _value(value)
        elif key == "build" and isinstance(value, dict):
            merged[key] = merged[key].with_value(_merged(_items(merged[key]), value))
    if isinstance(checked.get("build"), dict) and "contextDigest" in checked["build"]:
        build = merged["build"]
        fresh = {**_items(build), "contextDigest": _value(checked["build"]["contextDigest"])}  # never the program's own
        merged["build"] = build.with_value(fresh)
    return merged


def _items(value: PropertyValue) -> Properties:
    return dict(value.value) if isinstance(value.value, Mapping) else {}


def _value(value: Any) -> PropertyValue:
    """A plain value as a property; unknown and missing ones are computed."""
    if isinstance(value, dict):
        return PropertyValue({key: _value(item) for key, item in value.items()})
    if isinstance(value, list):
        return PropertyValue([_value(item) for item in value])
    return PropertyValue(value) if isinstance(value, str | bool | float) else computed()


async def serve(address: str) -> None:
    """Serve until the engine interrupts us."""
    version = importlib.metadata.version("pulumi-docker")
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 400 << 20)])
    servicer = Servicer(sys.argv[1:], version, DockerProvider(address), engine_address=address)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    end_with_engine()
    print(port, flush=True)
    await ended.wait()
    await server.stop(grace=0.2)


def main() -> None:
    """Entry point; the engine's address is the one argument that is no flag."""
    asyncio.run(serve(next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")))


if __name__ == "__main__":
    main()
