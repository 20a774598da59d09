"""What this stack must build, and from which folders: decided and checked before any resource is registered.

Writes only below `.build/`. Paths are relative to the program's folder, so that the same state is right in another
checkout.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi

from infra.backing.images import context
from infra.settings import Settings
from ml.errors import ConfigError, PipelineError
from ml.release.context import assemble

SERVING_LOCK: Final = "images/serving/requirements.txt"


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """Build contexts of what is not given by digest; all empty where everything is."""

    base: str | None
    platform: Mapping[str, str]
    """Image name -> context."""
    serving: Mapping[str, str]
    """Release id -> context."""


def prepare(root: Path, settings: Settings) -> Contexts:
    """Assemble the contexts of every image that this stack builds.

    Raises:
        pulumi.RunError: Naming every context that cannot be made, and the command that helps.
    """
    problems: list[str] = []
    platform: dict[str, str] = {}
    serving: dict[str, str] = {}
    for name in settings.platform_images:
        if name not in settings.images:
            try:
                platform[name] = _relative(root, context(root, name))
            except PipelineError as error:
                problems.append(str(error))
    for held in settings.slots.values():
        if held.image is None and held.release not in serving:
            try:
                folder = assemble(root, held.release, root / ".build" / "serving" / held.release)
            except PipelineError as error:
                problems.append(str(error))
                continue
            serving[held.release] = _relative(root, folder)
    base = _base(root, problems) if platform or serving else None
    if serving and settings.gpu.enabled:
        _require_cuda(root, problems)
    if problems:
        raise pulumi.RunError("\n".join(problems))
    return Contexts(base=base, platform=platform, serving=serving)


def _base(root: Path, problems: list[str]) -> str:
    folder = root / "images" / "base"
    if not (folder / "rootfs.tar").is_file():
        message = "the base image needs images/base/rootfs.tar, and it is not there"
        problems.append(str(ConfigError("ML-CONF-004", message, "make up, which makes it")))
    return _relative(root, folder)


def _require_cuda(root: Path, problems: list[str]) -> None:
    """The server would refuse to start without it, minutes later; an image by digest is only asked there."""
    lock = root / SERVING_LOCK
    if re.search(r"^onnxruntime-gpu==", lock.read_text(encoding="utf-8"), re.MULTILINE) is None:
        message = f"ml-pipeline:gpu.enabled: got True, and {SERVING_LOCK} names no onnxruntime-gpu"
        fix = "see docs/serving.md#on-gpus, or pulumi config set --path gpu.enabled false"
        problems.append(str(ConfigError("ML-CONF-006", message, fix)))


def _relative(root: Path, folder: Path) -> str:
    """`folder` as seen from `infra/`, where Pulumi.yaml's `main` makes the program run."""
    return os.path.relpath(folder, root / "infra")
