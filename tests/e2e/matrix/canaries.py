"""Looks for secret values wherever a careless program leaves them: state, logs, events, lists of processes."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.e2e.machine import Machine
from tests.e2e.matrix.watching import Watching
from tests.e2e.reads import STAGING

LARGEST = 64 * 2**20
"""Of a file or a log, its last bytes: more is not read."""


class Commands(Watching):
    """Every argument of every process that ran while the block lasted, twice a second."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[bytes] = set()

    def look(self) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has just ended
                self.seen.add(process.read_bytes())


def places(machine: Machine, commands: Commands) -> Iterator[tuple[str, bytes]]:
    """Name and content of everything that is searched."""
    export = machine.run("pulumi", "stack", "export", "--stack", "staging", timeout_s=120, logged=False)
    yield "pulumi stack export", export.stdout.encode()
    for folder in (machine.home / "state", machine.home / "cluster" / "logs"):
        for file in sorted(one for one in folder.rglob("*") if one.is_file()):
            yield str(file.relative_to(machine.home)), _end(file)
    names = machine.text("kubectl", "get", "pods", "-n", STAGING, "-o", "name").split()
    for name in names:
        for which in ((), ("--previous",)):
            command = ("kubectl", "logs", "-n", STAGING, name, "--all-containers", f"--limit-bytes={LARGEST}", *which)
            said = machine.run(*command, check=False, timeout_s=60, logged=False)
            yield f"log of {name} {' '.join(which)}", said.stdout.encode()
    events = machine.run("kubectl", "get", "events", "-n", STAGING, "-o", "json", timeout_s=60, logged=False)
    yield "events", events.stdout.encode()
    yield "arguments of processes", b"\n".join(commands.seen)


def found(where: Mapping[str, bytes], values: Sequence[str]) -> list[str]:
    """Names of places that hold a value as it is or in base64; never the value itself."""
    needles = [form for value in values for form in (value.encode(), base64.b64encode(value.encode()).rstrip(b"="))]
    return [name for name, content in where.items() if any(needle in content for needle in needles)]


def _end(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            content.seek(max(file.stat().st_size - LARGEST, 0))
            return content.read()
    except FileNotFoundError:  # a lock of a command that has just ended
        return b""
