"""What the images need from the toolchain before they can be built. Standard library only."""

import shutil
from pathlib import Path

from toolchain import paths


def place_kube_state_metrics() -> None:
    """Put the binary beside a copy of its Dockerfile, as the build context of its image."""
    context = paths.scratch() / "images" / "kube-state-metrics"
    context.mkdir(parents=True, exist_ok=True)
    dockerfile = paths.repo_root() / "images" / "kube-state-metrics" / "Dockerfile"
    for source in (dockerfile, (paths.venv_bin() / "kube-state-metrics").resolve()):
        target = context / source.name
        if not target.exists() or _mark(target) != _mark(source):
            shutil.copy2(source, target)


def _mark(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns
