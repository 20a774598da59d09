"""What a component is: one process, what it needs, where it listens and when it is ready."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolchain.cluster import probes

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Component:
    """One process of the cluster."""

    name: str
    serves: str
    argv: tuple[str, ...]
    ports: tuple[tuple[str, int], ...] = ()
    after: tuple[str, ...] = ()
    probe: probes.Probe
    deadline_s: float = 60.0
    files: tuple[Path, ...] = ()
    left_behind: tuple[Path, ...] = ()
    """What a killed process leaves that would keep the next one from starting."""

    def fingerprint(self) -> str:
        """Changes when a running process would no longer be what `up` would start."""
        digest = hashlib.sha256("\0".join(self.argv).encode())
        program = Path(self.argv[0]).stat()
        digest.update(f"{program.st_size} {program.st_mtime_ns}".encode())
        for path in self.files:
            digest.update(path.read_bytes())
        return digest.hexdigest()
