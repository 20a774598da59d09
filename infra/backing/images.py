"""The Docker build context of each platform image.

Called by the Pulumi program before it registers the images that this stack builds. Most contexts are the folder of the
Dockerfile; the worker's is assembled, because it carries a part of `ml` and nothing else of the repository.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.names import PLATFORM_IMAGES, TRAINING_IMAGE
from ml.configured import configured
from ml.errors import ConfigError
from ml.release.closure import source_files
from ml.release.mirror import mirror

WORKER_ENTRIES: Final = ("ml.drift.__main__", "ml.delivery.__main__")
"""What jobs in the cluster run with `python3 -m`; the image holds these and what they import of ours."""

TRAINING_ENTRIES: Final = ("ml.training", "ml.data", "ml.evaluation", "ml.tracking")
BATCH_ENTRIES: Final = ("ml.batch.__main__", "ml.batch.volume")
"""What batch prediction runs: in the training image, which has the libraries, but no part of a model's identity."""
_TRAINING_TOOLS: Final = ("toolchain.paths", "toolchain.locks")  # what these import of the toolchain
TRAINING_LOCK: Final = "requirements.txt"
"""The project's own lock: its hash is part of a model's identity, in a pod as on a person's machine."""

_BUILD: Final = Path(".build/images")
_STATE_METRICS: Final = "kube-state-metrics"


def context(root: Path, name: str) -> Path:
    """The build context of one platform image, up to date.

    Args:
        root: Top of the repository.
        name: One of `infra.names.KNOWN_IMAGES`.

    Raises:
        ConfigError: If a file that the context needs does not exist.
    """
    if name == "worker":
        return _assemble(root, name, _worker_files(root))
    if name == TRAINING_IMAGE:
        return _assemble(root, name, _training_files(root))
    if name == _STATE_METRICS:
        return _assemble(root, name, {Path("Dockerfile"): root / "images" / name / "Dockerfile"}, _binary(root))
    return root / "images" / name


def contexts(root: Path) -> dict[str, Path]:
    """Image name -> its build context, for every platform image."""
    return {name: context(root, name) for name in PLATFORM_IMAGES}


def _binary(root: Path) -> Path:
    """The toolchain builds it and puts it where the context is assembled."""
    binary = root / _BUILD / _STATE_METRICS / _STATE_METRICS
    if not binary.is_file():
        raise ConfigError(
            "ML-CONF-020",
            f"the image {_STATE_METRICS} needs its binary at {binary.relative_to(root)}, and it is not there",
            "make setup, which builds it; or give ml-pipeline:images.kube-state-metrics by digest",
        )
    return binary


def _worker_files(root: Path) -> dict[Path, Path]:
    recipe = root / "images/worker"
    files = {Path(name): recipe / name for name in ("Dockerfile", "requirements.txt")}
    ours = {*source_files(root, WORKER_ENTRIES), *source_files(root, ["infra.names"]), *_schemas(root)}
    return files | {path: root / path for path in ours}


def _schemas(root: Path) -> list[Path]:
    """What the entries of the release ledger are checked by."""
    return [path.relative_to(root) for path in (root / "ml/release/schema").glob("*.json")]


def _training_files(root: Path) -> dict[Path, Path]:
    """The recipe, and below `app/` what training imports: the same files that `ml.training.lineage` hashes."""
    recipe = root / "images/training"
    files = {Path(name): recipe / name for name in ("Dockerfile", "requirements.txt")}
    package = problem_package(root)
    ours = {*source_files(root, TRAINING_ENTRIES), *source_files(root, _TRAINING_TOOLS), *source_files(root, [package])}
    ours |= set(source_files(root, BATCH_ENTRIES))
    ours |= {path.relative_to(root) for folder in _hashed(root, package) for path in _members(folder)}
    return files | {Path("app") / path: root / path for path in [*ours, Path(TRAINING_LOCK)]}


def _hashed(root: Path, package: str) -> list[Path]:
    """Folders that decide what a model looks like, with whatever lies in them beside modules."""
    return [root.joinpath(*name.split(".")) for name in (*TRAINING_ENTRIES, package)]


def _members(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def problem_package(root: Path) -> str:
    """The problem of the checkout, as its pyproject.toml names it.

    Raises:
        ConfigError: If it does not.
    """
    return configured(root / "pyproject.toml")


def _assemble(root: Path, name: str, files: Mapping[Path, Path], keep: Path | None = None) -> Path:
    target = root / _BUILD / name
    mirror(files, target, keep=[keep] if keep else [])
    return target
