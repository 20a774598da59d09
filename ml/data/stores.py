"""Where data are kept on this machine: snapshots, dead letters, prepared matrices. Standard library only."""

import os
from pathlib import Path

from toolchain import paths


def root() -> Path:
    """What cannot be made again. `MLP_DATA_STORE` moves it, for example to a volume that several machines mount."""
    return Path(os.environ.get("MLP_DATA_STORE") or paths.home() / "data")


def snapshots() -> Path:
    """One Parquet file a snapshot, named by its content."""
    return root() / "snapshots"


def dead_letters(problem: str) -> Path:
    """The rejected rows of one problem."""
    return root() / "dead-letters" / problem


def prepared() -> Path:
    """Prepared rows of this checkout, safe to delete. `MLP_PREPARED` moves them."""
    return Path(os.environ.get("MLP_PREPARED") or paths.scratch() / "prepared")
