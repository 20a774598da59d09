"""The command line of `python3 -m toolchain`: thin; each command is a function elsewhere. Standard library only."""

import argparse
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ml.errors import PipelineError
from toolchain import bootstrap, environment, host, images, paths, run, tools
from toolchain.display import Display

INTERRUPTED = 130
_Parser = argparse.ArgumentParser


def main(arguments: Sequence[str]) -> int:
    """Run one command; every failure is one clear message and an exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.function(options)
    except PipelineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        full = run.no_space(Path(error.filename or paths.cache()), f"    {error.strerror}")
        print(full, file=sys.stderr)
        return full.exit_code
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where it stopped.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m toolchain",
        description="Everything between an empty machine and a running pipeline.",
        epilog="example: python3 -m toolchain up --stack staging",
    )
    add = _Commands(parser).add
    up = add("up", _up, "from an empty machine to a gated, served model", "up --stack staging")
    up.add_argument("--stack", default="staging", help="the stack (default: staging)")
    for name in ("setup", "test-env"):
        add(name, _setup, "the Python environment and the client's tools, nothing else", name)
    add("down", _down, "stop the local cluster and keep its data", "down")
    clean = add("clean", _clean, "remove environment, build results and this machine's cluster with its data", "clean")
    clean.add_argument("--yes", action="store_true", help="do not ask")
    add("lock", _lock, "compile every lock file again from its direct dependencies", "lock")
    flow = add(
        "workflow", _workflow, "run the steps of a GitHub workflow here", "workflow .github/workflows/pipeline.yml"
    )
    flow.add_argument("file", type=Path, help="the workflow")
    flow.add_argument("--event", default="push", help="the event it is run for (default: push)")
    flow.add_argument("--ref", default="refs/heads/main", help="the ref it is run for (default: refs/heads/main)")
    flow.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", help="a variable of the repository")
    return parser


class _Commands:
    """Adds a command with its help and an example."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(self, name: str, function: Callable[[argparse.Namespace], None], what: str, example: str) -> _Parser:
        parser = self._commands.add_parser(
            name, help=what, description=what, epilog=f"example: python3 -m toolchain {example}"
        )
        parser.set_defaults(function=function)
        return parser


def _up(options: argparse.Namespace) -> None:
    display = Display()
    # What can be known at once is said at once, not after the environment is made.
    named = environment.pulumi_env().get("MLP_KUBECONFIG")
    if named:
        host.require_file(Path(named))
    else:
        host.require_root()
    _enter_environment(display)
    from toolchain import up  # noqa: PLC0415  (only after the environment is there)

    up.up(options.stack, display)


def _setup(_options: argparse.Namespace) -> None:
    display = Display()
    bootstrap.ensure(display)
    local = not environment.pulumi_env().get("MLP_KUBECONFIG")
    # Where a local cluster will run, kubectl comes with it: one build instead of two.
    tools.ensure((*tools.CLIENT, "kubernetes" if local else "kubectl", "kube-state-metrics"), display)
    images.place_kube_state_metrics()


def _down(_options: argparse.Namespace) -> None:
    display = Display()
    _enter_environment(display)
    from toolchain import cluster  # noqa: PLC0415  (only after the environment is there)

    cluster.down(display)


def _clean(options: argparse.Namespace) -> None:
    """Stop and remove the local cluster, then remove what this checkout and this machine's home hold."""
    gone = [path for path in (paths.venv(), paths.scratch(), paths.home()) if path.exists()]
    if not gone:
        print("Nothing to remove.")
        return
    print("This removes the environment, build results and the local cluster with all its data:")
    print("".join(f"  {path}\n" for path in gone) + f"Kept: the cache of built tools, {paths.cache()}", flush=True)
    if not options.yes and sys.stdin.isatty() and input("Remove? [y/N] ").strip().lower() not in {"y", "yes"}:
        return
    python = paths.venv_bin() / "python"
    if python.exists() and (paths.home() / "cluster").exists():
        code = "from toolchain import cluster; from toolchain.display import Display; cluster.delete(Display())"
        subprocess.run([python, "-c", code], cwd=paths.repo_root(), check=True)
    for path in gone:
        if path.exists():
            shutil.rmtree(path)


def _lock(_options: argparse.Namespace) -> None:
    from toolchain import lock  # noqa: PLC0415  (only this command needs it)

    display = Display()
    bootstrap.ensure(display)
    lock.compile_all(display)


def _workflow(options: argparse.Namespace) -> None:
    display = Display()
    _enter_environment(display)
    from toolchain import workflow  # noqa: PLC0415  (needs packages)

    variables = dict(entry.split("=", 1) for entry in options.var)
    workflow.run_file(options.file, workflow.Event(name=options.event, ref=options.ref, variables=variables))


def _enter_environment(display: Display) -> None:
    """Make `.venv` and go on inside it."""
    bootstrap.ensure(display)
    if Path(sys.prefix).resolve() != paths.venv().resolve():
        sys.stdout.flush()
        python = str(paths.venv_bin() / "python")
        os.execv(python, [python, "-m", "toolchain", *sys.argv[1:]])  # noqa: S606  (no shell is meant)
