"""The Python language host of the Pulumi CLI (`pulumi-language-python`).

A gRPC server for the engine: `Run` runs a program in a child process, `RunPlugin` starts a policy pack. The first line
on standard output is the port. It uses the interpreter it is started with, whatever `runtime.options` say.
"""

import importlib.metadata
import json
import os
import platform
import queue
import re
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import grpc
from google.protobuf import empty_pb2

from toolchain.plugins.orphans import end_with_engine
from toolchain.plugins.protocol import language_pb2, language_pb2_grpc, plugin_pb2

MAX_MESSAGE_BYTES = 400 << 20  # as in Pulumi's own hosts; a stack with large files passes through here
CHILD = "toolchain.plugins.language_child"


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A process that runs one program, once it is given the request."""

    process: "subprocess.Popen[bytes]"
    replies: int
    """Where its answer can be read."""
    directory: str
    """The program's; what it has loaded is for that."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine."""

    def __init__(self, engine_address: str, version: str) -> None:
        self._engine_address = engine_address
        self._version = version
        self._children: set[subprocess.Popen[bytes]] = set()
        self._waiting: Child | None = None
        self._waiting_lock = threading.Lock()

    def Handshake(  # noqa: N802  (all RPC names come from the protocol)
        self, request: language_pb2.LanguageHandshakeRequest, _context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Learn the engine's address, which newer engines send instead of an argument."""
        self._engine_address = request.engine_address or self._engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, _request: object, _context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:  # noqa: N802
        """The host's version is that of the pulumi wheel it serves."""
        return plugin_pb2.PluginInfo(version=self._version)

    def About(self, _request: object, _context: grpc.ServicerContext) -> language_pb2.AboutResponse:  # noqa: N802
        """For `pulumi about`."""
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def GetRequiredPackages(  # noqa: N802
        self, request: language_pb2.GetRequiredPackagesRequest, _context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """The provider plugins that installed wheels ask for. The engine asks this right before it runs a program."""
        self._expect(request.info)
        packages = [
            plugin_pb2.PackageDependency(name=name, kind="resource", version=f"v{version}", server=server)
            for name, version, server in required_plugins(Path(sysconfig.get_path("purelib")))
        ]
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    def GetRequiredPlugins(  # noqa: N802
        self, _request: object, _context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPluginsResponse:
        """The same, in the form older engines ask for."""
        plugins = [
            plugin_pb2.PluginDependency(name=name, kind="resource", version=f"v{version}", server=server)
            for name, version, server in required_plugins(Path(sysconfig.get_path("purelib")))
        ]
        return language_pb2.GetRequiredPluginsResponse(plugins=plugins)

    def GetProgramDependencies(  # noqa: N802
        self, request: language_pb2.GetProgramDependenciesRequest, _context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """Installed packages; without `transitive`, those that no other package requires."""
        installed = {normal(dist.metadata["Name"]): dist for dist in importlib.metadata.distributions()}
        names = set(installed)
        if not request.transitiveDependencies:
            names -= {normal(need) for dist in installed.values() for need in dist.requires or []}
        found = [language_pb2.DependencyInfo(name=name, version=installed[name].version) for name in sorted(names)]
        return language_pb2.GetProgramDependenciesResponse(dependencies=found)

    def InstallDependencies(  # noqa: N802
        self, _request: object, _context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Nothing is installed from here: the lock file decides, and `make setup` applies it."""
        yield language_pb2.InstallDependenciesResponse(
            stdout=b"The environment is complete; `make setup` keeps it so.\n"
        )

    def RuntimeOptionsPrompts(  # noqa: N802
        self, _request: object, _context: grpc.ServicerContext
    ) -> language_pb2.RuntimeOptionsResponse:
        """No questions for `pulumi new`."""
        return language_pb2.RuntimeOptionsResponse()

    def Template(self, _request: object, _context: grpc.ServicerContext) -> language_pb2.TemplateResponse:  # noqa: N802
        """Nothing to add to a new project."""
        return language_pb2.TemplateResponse()

    def Cancel(self, _request: object, _context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """Stop what runs."""
        self.stop_children()
        return empty_pb2.Empty()

    def Run(self, request: language_pb2.RunRequest, _context: grpc.ServicerContext) -> language_pb2.RunResponse:  # noqa: N802
        """Run a program in a child process and pass its answer on."""
        asked = language_pb2.RunRequest()
        asked.CopyFrom(request)
        del asked.args[:]
        asked.args.append(self._engine_address)
        code, answer = self._run_child(asked)
        if code:
            return language_pb2.RunResponse(error=f"the program's process ended with exit code {code} and no answer")
        return language_pb2.RunResponse.FromString(answer)

    def RunPlugin(  # noqa: N802
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Start a policy pack or another Python plugin and stream its output."""
        child = subprocess.Popen(
            plugin_command(request),
            cwd=request.pwd or request.info.program_directory,
            env={**os.environ, **dict(entry.split("=", 1) for entry in request.env if "=" in entry)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._children.add(child)
        context.add_callback(child.terminate)
        yield from stream(child)
        self._children.discard(child)
        yield language_pb2.RunPluginResponse(exitcode=child.wait())

    def stop_children(self) -> None:
        """End every child process."""
        for child in list(self._children):
            child.terminate()

    def _run_child(self, request: language_pb2.RunRequest) -> tuple[int, bytes]:
        directory = request.info.program_directory or request.pwd
        with self._waiting_lock:
            waiting, self._waiting = self._waiting, None
        child = waiting if waiting is not None and waiting.directory == directory else self._start(directory)
        with os.fdopen(child.replies, "rb") as replies:
            child.process.communicate(request.SerializeToString())
            answer = replies.read()
        self._children.discard(child.process)
        return child.process.returncode, answer

    def _expect(self, info: language_pb2.ProgramInfo) -> None:
        """Start the child of a run that will probably come, once: it loads while the engine does other things."""
        with self._waiting_lock:
            if self._waiting is None and info.program_directory:
                self._waiting = self._start(info.program_directory)

    def _start(self, directory: str) -> "Child":
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-P", "-u", "-m", CHILD, str(writer), directory],
            stdin=subprocess.PIPE,
            pass_fds=[writer],
        )
        os.close(writer)
        self._children.add(process)
        return Child(process=process, replies=reader, directory=directory)


def normal(requirement: str) -> str:
    """The normalized project name at the start of a requirement."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", found.group()).lower() if found else ""


def required_plugins(site_packages: Path) -> list[tuple[str, str, str]]:
    """Name, version and download server from each wheel's `pulumi-plugin.json`."""
    found = []
    for file in sorted(site_packages.glob("*/pulumi-plugin.json")):
        plugin = json.loads(file.read_text())
        if plugin.get("resource"):
            name = plugin.get("name") or file.parent.name.removeprefix("pulumi_").replace("_", "-")
            found.append((name, str(plugin["version"]).removeprefix("v"), plugin.get("server", "")))
    return found


def plugin_command(request: language_pb2.RunPluginRequest) -> list[str]:
    """How a plugin of the given kind is started."""
    program = request.info.program_directory or request.program
    if request.kind == "analyzer":
        # -P: the engine hands over the directory of the program, whose packages must not shadow the standard library.
        return [sys.executable, "-P", "-u", "-m", "pulumi.policy", *request.args[:1], program]
    return [sys.executable, "-u", str(Path(program, "__main__.py")), *request.args]


def stream(child: "subprocess.Popen[bytes]") -> Iterator[language_pb2.RunPluginResponse]:
    """Both outputs of a child as they come, until both are closed."""
    chunks: queue.Queue[language_pb2.RunPluginResponse | None] = queue.Queue()

    def pump(source: IO[bytes], wrap: Callable[[bytes], language_pb2.RunPluginResponse]) -> None:
        while chunk := os.read(source.fileno(), 65536):
            chunks.put(wrap(chunk))
        chunks.put(None)

    open_sources = 0
    for source, wrap in (
        (child.stdout, lambda chunk: language_pb2.RunPluginResponse(stdout=chunk)),
        (child.stderr, lambda chunk: language_pb2.RunPluginResponse(stderr=chunk)),
    ):
        if source is not None:
            open_sources += 1
            threading.Thread(target=pump, args=(source, wrap), daemon=True).start()
    while open_sources:
        chunk = chunks.get()
        if chunk is None:
            open_sources -= 1
        else:
            yield chunk


def main() -> None:
    """Serve until the engine ends us."""
    address = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    host = LanguageHost(address, importlib.metadata.version("pulumi"))
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=options)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    end_with_engine()
    server.start()
    print(port, flush=True)
    ended.wait()
    host.stop_children()
    server.stop(grace=0.2).wait()


if __name__ == "__main__":
    main()
