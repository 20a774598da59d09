"""Environments of their own, from hashed lock files, for what must not come into the project's: peers and fuzzers."""

import os
import subprocess
import sys
from pathlib import Path

from toolchain import bootstrap, paths


def environment(name: str, lock: Path) -> Path:
    """The interpreter of an environment with exactly what the lock file says; made on first use.

    A lock file is made with `uv pip compile --generate-hashes`.
    """
    folder = paths.scratch() / "environments" / name
    python = folder / "bin" / "python"
    stamp = folder / "lock"
    if not stamp.is_file() or stamp.read_bytes() != lock.read_bytes():
        print(f"installing {lock.name} into an environment of its own", file=sys.stderr)
        env = bootstrap.certificates(dict(os.environ))
        uv = str(bootstrap.uv())
        for command in (
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(python), "-r", str(lock)],
        ):
            subprocess.run(command, check=True, env=env)
        stamp.write_bytes(lock.read_bytes())
    return python
