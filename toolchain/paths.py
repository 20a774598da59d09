"""Where things are: the checkout, the state of this machine, the cache of built tools. Standard library only."""

import os
from pathlib import Path


def repo_root() -> Path:
    """The checkout that this file is part of."""
    return Path(__file__).resolve().parent.parent


def home() -> Path:
    """State of this machine: cluster, Pulumi state and plugins, passphrase. `MLP_HOME` moves it."""
    return Path(os.environ.get("MLP_HOME") or Path.home() / ".local" / "share" / "ml-pipeline")


def cache() -> Path:
    """What can be made again: built tools, the base image's file system, data. `MLP_CACHE` moves it."""
    return Path(os.environ.get("MLP_CACHE") or Path.home() / ".cache" / "ml-pipeline")


def venv() -> Path:
    """The Python environment of this checkout."""
    return repo_root() / ".venv"


def venv_bin() -> Path:
    """The folder that holds every tool we use, ours and linked ones."""
    return venv() / "bin"


def scratch() -> Path:
    """Build results of this checkout; ignored by git."""
    return repo_root() / ".build"
