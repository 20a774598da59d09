"""The Docker build context of a release's serving image: the model, and only the code that serves it.

Deterministic, and rewrites only what changed, so that the image is built again exactly when its content changes.
Called by the Pulumi program, and only for a slot that has no image yet.
"""

import json
from pathlib import Path

from ml.errors import ConfigError
from ml.release.closure import source_files
from ml.release.mirror import mirror
from ml.release.store import FILES, RECORD, verify

_ENTRY = "ml.serving"
_RECIPE = Path("images/serving")


def assemble(root: Path, release_id: str, target: Path) -> Path:
    """Make `target` the build context of a release's serving image.

    It holds what `images/serving` holds, `ml/` with the modules that serving imports, and `model/` with the release.
    Whatever else lies in `target` is removed.

    Returns:
        `target`.

    Raises:
        GateError: If the release does not verify.
        ConfigError: If `images/serving` has no Dockerfile or a module that serving imports does not exist.
    """
    release = verify(root, release_id)
    recipe = root / _RECIPE
    if not (recipe / "Dockerfile").is_file():
        raise ConfigError("ML-REL-006", f"{_RECIPE}/Dockerfile does not exist", "restore it from version control")
    files = {path.relative_to(recipe): path for path in sorted(recipe.rglob("*")) if path.is_file()}
    files |= {path: root / path for path in source_files(root, _entries(release.directory / "serving.json"))}
    files |= {Path("model") / name: release.directory / name for name in (RECORD, *FILES)}
    mirror(files, target)
    return target


def _entries(serving: Path) -> list[str]:
    """The server itself, and the module of the transform that the release names, which no import shows."""
    transform = json.loads(serving.read_bytes())["transform"]
    return [_ENTRY] if transform is None else [_ENTRY, str(transform).partition(":")[0]]
