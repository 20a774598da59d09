"""Finds tools that are there already: on PATH with the pinned version, or as an official plugin."""

import os
import re
import subprocess
from pathlib import Path

from toolchain import environment, paths
from toolchain.pins import Tool

ANSWER_S = 30.0


def answers(binary: Path, tool: Tool) -> bool:
    """Whether the binary says that it has the pinned version; True when it cannot be asked."""
    if not tool.version_command:
        return True
    command = [str(binary), *tool.version_command]
    env = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=ANSWER_S, check=False, env=env
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    exact = rf"(?<![\w.]){re.escape(tool.version_output)}(?![\w.-])"  # not 1.7.77, not 1.7.7-dev; Debian's 1.7.7+ds is
    return re.search(exact, answer.stdout + answer.stderr) is not None


def on_path(tool: Tool) -> Path | None:
    """The folder on PATH that has all of the tool's binaries in the pinned version; ours does not count."""
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        directory = Path(entry)
        if not entry or _is_ours(directory):
            continue
        found = [directory / name for name in tool.binaries]
        if all(os.access(file, os.X_OK) and file.is_file() and not _is_linked_here(file) for file in found) and answers(
            found[0], tool
        ):
            return directory
    return None


def beside(tool: Tool, directory: Path | None) -> Path | None:
    """`directory` if it has all of the tool's binaries: an official archive brings several."""
    if directory is None or not all(os.access(directory / name, os.X_OK) for name in tool.binaries):
        return None
    return directory


def plugin(tool: Tool) -> Path | None:
    """The folder of the official plugin in PULUMI_HOME (ours, or the user's `~/.pulumi`)."""
    _, kind, name = tool.name.split("-", 2)
    homes = [Path(environment.pulumi_env()["PULUMI_HOME"]), Path.home() / ".pulumi"]
    for home in homes:
        directory = home / "plugins" / f"{kind}-{name}-v{tool.version}"
        partial = directory.with_name(directory.name + ".partial")
        if all(os.access(directory / binary, os.X_OK) for binary in tool.binaries) and not partial.exists():
            return directory
    return None


def _is_ours(directory: Path) -> bool:
    return directory.resolve() == paths.venv_bin().resolve()


def _is_linked_here(file: Path) -> bool:
    # Another checkout's .venv/bin may be on PATH: its links lead into the cache, its launchers die with that checkout.
    target = file.resolve()
    return paths.cache().resolve() in target.parents or (file.parent.parent / "pyvenv.cfg").exists()
