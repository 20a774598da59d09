"""What a model was made from, as hashes and versions that anybody can compute again. Reads files, changes nothing."""

import hashlib
import importlib.util
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from toolchain import paths

_OUR_CODE = ("ml/data", "ml/evaluation", "ml/training")
_PACKAGES = ("numpy", "onnx", "onnxruntime", "pandas", "pandera", "scikit-learn", "skl2onnx")


def tree_sha256(package: str) -> str:
    """Hash of the code that makes a model: the problem's folder and the pipeline's own part."""
    folder, root = _folder(package), paths.repo_root()
    named = [("problem", path) for path in _sources(folder)]
    named += [(folder_name, path) for folder_name in _OUR_CODE for path in _sources(root / folder_name)]
    digest = hashlib.sha256()
    for label, path in named:
        base = folder if label == "problem" else root / label
        digest.update(f"{label}/{path.relative_to(base).as_posix()}\0{file_sha256(path)}\n".encode())
    digest.update(file_sha256(root / "ml/problem.py").encode())
    return digest.hexdigest()


def lock_sha256() -> str:
    """Hash of the lock file, so of every installed package."""
    return file_sha256(paths.repo_root() / "requirements.txt")


def environment() -> dict[str, Any]:
    """Python and the packages that decide what a model looks like."""
    return {
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    locations = (spec.submodule_search_locations if spec else None) or []
    if not locations:
        raise ValueError(f"package={package!r}: must name a folder with Python modules")
    return Path(next(iter(locations)))


def _sources(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())
