"""`python -m tests.e2e.matrix.leak PROCS BYTES PID`: joins a control group and takes memory until a process is killed.

Of the processes of a group that has used up its memory the kernel kills the one with the highest score; Kubernetes
gives those of a pod that may burst a high one, and ours is lowered where the machine allows it. Bounded in bytes and
time; standard library only, so that it is small itself.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

CHUNK: Final = 2 * 1024 * 1024
SPARE: Final = 64 * 1024 * 1024
MOST_S: Final = 30.0


def alive(pid: int) -> bool:
    """Whether a process runs: one that is dead and not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def main(procs: Path, most_bytes: int, victim: int) -> int:
    """0 when the victim is gone, 1 when it has outlived all that we may take."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("-900")
    procs.write_text(str(os.getpid()))
    kept: list[bytes] = []
    end = time.monotonic() + MOST_S
    while alive(victim) and len(kept) * CHUNK < most_bytes + SPARE and time.monotonic() < end:
        kept.append(b"x" * CHUNK)
        time.sleep(0.001)
    gone = not alive(victim)
    print(f"took {len(kept) * CHUNK // 2**20} MiB; process {victim} is {'gone' if gone else 'still there'}")
    return 0 if gone else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
