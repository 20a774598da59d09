"""Detached processes and the records by which they are found again.

A record holds the process's start time and the machine's boot id besides its pid, so that a pid which the kernel gave
to somebody else is never signalled. There is no supervisor: `up` starts what is dead.
"""

import contextlib
import dataclasses
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolchain.files import write_private

MAX_LOG_BYTES: Final = 8 * 1024 * 1024
POLL_S: Final = 0.05
ENV: Final = "/usr/bin/env"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One started process, as written to `run/<component>.json`."""

    pid: int
    start_ticks: int
    boot_id: str
    started_at: float
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run; the fingerprint is kept in the record so that a later `up` can compare."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Stat:
    """The fields of `/proc/<pid>/stat` that identify a process (proc(5): fields 3, 4 and 22)."""

    state: str
    parent: int
    start_ticks: int

    @property
    def alive(self) -> bool:
        """A zombie holds nothing any more."""
        return self.state not in {"Z", "X"}


def parse_stat(text: str) -> Stat:
    """Parse one stat line; the command name in parentheses may itself hold spaces and parentheses."""
    fields = text[text.rindex(")") + 1 :].split()
    return Stat(state=fields[0], parent=int(fields[1]), start_ticks=int(fields[19]))


def stat(pid: int) -> Stat | None:
    """The process's state, or None when there is none with this pid."""
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (OSError, ValueError):
        return None


def boot_id() -> str:
    """Changes with every boot, so that a record of an earlier one is not believed."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def alive(record: Record) -> bool:
    """Whether exactly the recorded process still runs."""
    now = stat(record.pid)
    return now is not None and now.alive and now.start_ticks == record.start_ticks and record.boot_id == boot_id()


def read_record(path: Path) -> Record | None:
    """The record, or None when it is missing or was cut off by a crash."""
    try:
        fields = json.loads(path.read_bytes())
        return Record(**fields)
    except (OSError, ValueError, TypeError):
        return None


def start(command: Command, *, log: Path, record: Path) -> Record:
    """Start a process in a session of its own and write its record; it outlives its starter."""
    rotate(log)
    # posix_spawn cannot change the directory; env(1) does and then becomes the program, under the same pid.
    argv = ["env", f"--chdir={command.cwd}", *command.argv]
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        ENV,
        argv,
        dict(command.environment),
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), appending, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    now = stat(pid)
    entry = Record(
        pid=pid,
        start_ticks=now.start_ticks if now else 0,
        boot_id=boot_id(),
        started_at=time.time(),
        fingerprint=command.fingerprint,
    )
    write_private(record, json.dumps(dataclasses.asdict(entry)).encode())
    return entry


def stop(record: Record, *, grace_s: float) -> None:
    """Ask the process to end, and end it after `grace_s`."""
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        if not alive(record):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)
        wait_until_gone([record], patience_s)


def wait_until_gone(records: Sequence[Record], patience_s: float) -> bool:
    """Wait until none of the processes runs; False when the patience ran out first."""
    deadline = time.monotonic() + patience_s
    while any(alive(record) for record in records):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def rotate(log: Path) -> None:
    """Keep one older log when this one has grown over the limit; called before a start."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    log.touch(mode=0o600)


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def snapshot(pid: int) -> Record | None:
    """A record of a process that somebody else started."""
    now = stat(pid)
    if now is None or not now.alive:
        return None
    return Record(pid=pid, start_ticks=now.start_ticks, boot_id=boot_id(), started_at=0.0, fingerprint="")


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """Pid and arguments of every process of the machine; kernel threads have none and are left out."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            if arguments:
                yield int(entry.name), arguments
