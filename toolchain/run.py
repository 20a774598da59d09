"""Child processes with their output in a log file, and errors that show its end. Standard library only."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml.errors import SurroundingsError

TAIL_LINES = 15
NO_SPACE = "no space left on device"


def logged(  # noqa: PLR0913  (what subprocess.run takes, by keyword)
    command: Sequence[str],
    log: Path,
    *,
    code: str,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    keep_open: tuple[int, ...] = (),
    fix: str = "",
) -> None:
    """Run a command with all output in `log`; raise with the log's last lines when it fails.

    Args:
        command: Program and arguments.
        log: Appended to; its folder is made.
        code: Error code of a failure.
        what: What the command does, for the message.
        cwd, env: Working folder and full environment.
        keep_open: File descriptors the child inherits.
        fix: What to do about a failure.

    Raises:
        SurroundingsError: When the command exits with anything but 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        out.write(f"$ {' '.join(command)}\n".encode())
        out.flush()
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env=env, pass_fds=keep_open, check=False
        ).returncode
    if status == 0:
        return
    last = tail(log)
    if NO_SPACE in last.lower():
        raise no_space(log.parent, last)
    message = f"{what} failed with exit code {status}; the last lines of {log}:\n{last}"
    raise SurroundingsError(code, message, fix)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented."""
    text = log.read_bytes()[-20_000:].decode(errors="replace")
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def no_space(where: Path, detail: str) -> SurroundingsError:
    """The one error for a full disk."""
    message = f"no space left on the file system of {where}:\n{detail}"
    return SurroundingsError(
        "ML-HOST-004", message, "free some space (a cold build needs 15 GB), then the same command"
    )
