"""Runs one Pulumi program in a process of its own, for the language host.

Reads a serialized `RunRequest` from standard input and writes a `RunResponse` to the file descriptor in `argv[1]`. It
is started before there is a request, and loads meanwhile the provider packages that the program in `argv[2]` imports:
they are most of a preview's time. What the program prints goes to the host's own output, where the engine picks it up.
"""

import asyncio
import gc
import importlib
import logging
import os
import re
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from pulumi import log
from pulumi.errors import RunError
from pulumi.runtime import run_in_stack, set_all_config
from pulumi.runtime.proto import language_pb2
from pulumi.runtime.settings import reset_options

PROVIDER_IMPORT = re.compile(r"^(?:from|import) (pulumi_[\w.]+)", re.MULTILINE)
ENGINE_FRAMES = ("runpy", "pulumi.runtime.stack", "toolchain.plugins.language_child")


def main() -> None:
    """Entry point of the child process."""
    # A program lives for seconds: collecting among what it imports costs time and frees nothing.
    gc.disable()
    # The engine interrupts the host, and the host ends us: a traceback of ours would only hide the engine's words.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reply = int(sys.argv[1])
    for name in provider_modules(Path(sys.argv[2])):
        with suppress(Exception):  # the program says it better, where it imports it
            importlib.import_module(name)
    asked = sys.stdin.buffer.read()
    if not asked:  # the engine wanted something else of the host than to run the program
        return
    request = language_pb2.RunRequest.FromString(asked)
    os.chdir(request.pwd or request.info.root_directory)
    response = run(request)
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(reply, response.SerializeToString())


def provider_modules(directory: Path) -> list[str]:
    """The modules of `pulumi_*` packages that the source files of a program import; empty when there are no files."""
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in sorted(directory.rglob("*.py")))
    return sorted({name for text in texts for name in PROVIDER_IMPORT.findall(text)})


def run(request: language_pb2.RunRequest) -> language_pb2.RunResponse:
    """Run the program; problems are logged to the engine and answered with `bail`."""
    _drop_debug_lines_of_the_sdk()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # tasks of a failed program are nobody's business
    reset_options(
        project=request.project,
        stack=request.stack,
        root_directory=request.info.root_directory,
        parallel=request.parallel,
        engine_address=request.args[0] if request.args else "",
        monitor_address=request.monitor_address,
        preview=request.dryRun,
        organization=request.organization or "organization",
    )
    set_all_config(dict(request.config), list(request.configSecretKeys))
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=max(request.parallel, 1) * 4))
    loop.set_exception_handler(_stop_when_the_engine_is_gone)
    try:
        problem = _run_in(loop, request)
    finally:
        _drain(loop)
    if problem:
        log.error(problem)
    return language_pb2.RunResponse(bail=bool(problem))


def _drop_debug_lines_of_the_sdk() -> None:
    """Keep the SDK from sending the engine some five lines a resource that nobody sees, each a call it waits for.

    What the program itself logs at this level still goes out.
    """
    said = log.debug

    def debug(*arguments: Any, **named: Any) -> None:
        if not str(sys._getframe(1).f_globals.get("__name__")).startswith("pulumi."):  # noqa: SLF001  (who is calling)
            said(*arguments, **named)

    log.debug = debug


def _run_in(loop: asyncio.AbstractEventLoop, request: language_pb2.RunRequest) -> str:
    """Run the program and return what went wrong, as the user should read it; empty when nothing did."""
    try:
        loop.run_until_complete(run_in_stack(lambda: _program(request)))
    except RunError as error:
        return str(error)
    except grpc.RpcError as error:
        gone = error.code() is grpc.StatusCode.UNAVAILABLE  # the engine has ended and said why
        return "" if gone else f"the engine refused: {error.details()}"
    except SystemExit as error:
        return "" if error.code in {None, 0} else f"the program ended with exit code {error.code}"
    except Exception as error:  # noqa: BLE001  (whatever the user's program raises is shown to the user)
        return f"Program failed with an unhandled exception:\n{user_traceback(error)}"
    return ""


def _program(request: language_pb2.RunRequest) -> None:
    directory = request.info.program_directory or request.pwd
    entry = Path(directory, request.info.entry_point or request.program or ".").resolve()
    sys.argv = [str(entry)]
    for path in (directory, str(entry if entry.is_dir() else entry.parent)):
        if path not in sys.path:
            sys.path.insert(0, path)
    runpy.run_path(str(entry), run_name="__main__")


def user_traceback(error: BaseException) -> str:
    """The traceback without the frames of the host, of runpy and of Pulumi's stack runner."""
    report = traceback.TracebackException.from_exception(error)
    chain: traceback.TracebackException | None = report
    while chain is not None:
        chain.stack = traceback.StackSummary.from_list([frame for frame in chain.stack if not _is_engine(frame)])
        chain = chain.__cause__ or chain.__context__
    return "".join(report.format())


def _is_engine(frame: traceback.FrameSummary) -> bool:
    name = frame.filename.replace(os.sep, "/").removesuffix(".py").replace("/", ".")
    return name.startswith("<frozen runpy") or name.endswith(ENGINE_FRAMES) or ".asyncio." in name


def _stop_when_the_engine_is_gone(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    if isinstance(context.get("exception"), grpc.RpcError):
        loop.stop()
    else:
        loop.default_exception_handler(context)


def _drain(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with suppress(asyncio.CancelledError, grpc.RpcError, RuntimeError):
            loop.run_until_complete(task)
    loop.close()


if __name__ == "__main__":
    main()
