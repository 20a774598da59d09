"""Which ports the cluster needs, and who holds a port that is taken."""

import ipaddress
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LISTEN: Final = "0A"  # TCP_LISTEN in the kernel's include/net/tcp_states.h


@dataclass(frozen=True, kw_only=True)
class Listener:
    """One listening TCP socket of the machine."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int
    inode: int

    def blocks(self, address: str, port: int) -> bool:
        """Whether somebody who binds `address:port` meets this socket."""
        if port != self.port:
            return False
        mapped = self.address.ipv4_mapped if isinstance(self.address, ipaddress.IPv6Address) else None
        mine = mapped or self.address
        return mine.is_unspecified or mine == ipaddress.ip_address(address)


def parse_listeners(table: str) -> Iterator[Listener]:
    """The listening sockets in the text of `/proc/net/tcp` or `/proc/net/tcp6`."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN:
            address, port = fields[1].split(":")
            yield Listener(address=_address(address), port=int(port, 16), inode=int(fields[9]))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # Each 32-bit word is printed in the byte order of the machine.
    raw = bytes.fromhex(text)
    words = (raw[index : index + 4] for index in range(0, len(raw), 4))
    return ipaddress.ip_address(b"".join(word[::-1] if sys.byteorder == "little" else word for word in words))


def listeners() -> list[Listener]:
    """Every listening TCP socket of this network namespace."""
    tables = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
    return [listener for table in tables if table.exists() for listener in parse_listeners(table.read_text())]


def owner(inode: int) -> str:
    """`name (pid N)` of the process that holds a socket, or words for an unseen one."""
    wanted = f"socket:[{inode}]"
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            if any(str(entry.readlink()) == wanted for entry in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # it ended while we looked, or belongs to another namespace
    return "a process that is not visible from here"


def conflicts(wanted: Iterable[tuple[str, str, int]], taken: Iterable[Listener]) -> list[tuple[str, str, int, int]]:
    """Those of `(component, address, port)` that meet a listener, each with the listener's inode."""
    table = list(taken)
    return [
        (component, address, port, listener.inode)
        for component, address, port in wanted
        for listener in table
        if listener.blocks(address, port)
    ]
