"""Ends the provider processes of a Pulumi that was killed: nobody tells them, and they would wait for ever.

Pulumi starts each with its own address as last argument. Where nobody listens any more, there is no Pulumi either: it
listens before it starts the first of them, and until the last has ended. Only programs of this checkout are looked at,
and only in this network: the same address means another Pulumi in a container.
"""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
PROGRAM = re.compile(r"pulumi-(resource|language|analyzer)-[a-z0-9-]+")
ADDRESS = re.compile(r"127\.0\.0\.1:([0-9]{1,5})")
ASK_S = 1.0


def end_abandoned(programs: Path) -> int:
    """Ask every provider from the folder `programs` whose Pulumi is gone to end; how many were asked."""
    ended = 0
    for pid, port in _serving(programs):
        if not _listens(port):
            with suppress(OSError):  # it has just gone
                os.kill(pid, signal.SIGTERM)
                ended += 1
    return ended


def _serving(programs: Path) -> Iterator[tuple[int, int]]:
    """The process and its Pulumi's port, of every provider from that folder."""
    here = (PROC / "self" / "ns" / "net").readlink()
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
            found = ADDRESS.fullmatch(words[-1])
            ours = any(Path(word).parent == programs and PROGRAM.fullmatch(Path(word).name) for word in words[:2])
            if found and ours and (folder / "ns" / "net").readlink() == here:
                yield int(folder.name), int(found[1])
        except OSError:  # it has just gone, or is another user's
            continue


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=ASK_S).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return True
