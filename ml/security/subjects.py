"""What each scan looks at: names, files and one hash of their content.

`ml.release.create` writes these hashes into the record by itself, so that a scan of anything else is found out.
Reads files, runs git, decides nothing.
"""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ml.security.result import sha256_of_files

LOCK = Path("requirements.txt")
SERVING_LOCK = Path("images/serving/requirements.txt")
CODE_FOLDERS = ("infra", "ml", "policies", "toolchain")
_PROGRAM = ("infra", "policies")  # what decides which Kubernetes objects a stack has, besides the stacks' own files
_NOT_OURS = frozenset({".build", ".git", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a scan looks at; `sha256` is of the content of `files` at the moment they were read."""

    name: str
    files: tuple[Path, ...]
    sha256: str


def of_lock(root: Path, lock: Path) -> Subject:
    """A lock file, by the plain hash of its bytes: what the record calls `lock_sha256`."""
    content = (root / lock).read_bytes() if (root / lock).is_file() else b""
    return Subject(name=lock.as_posix(), files=(root / lock,), sha256=hashlib.sha256(content).hexdigest())


def of_code(root: Path) -> Subject:
    """Every Python file that we run; tests are not deployed and may do odd things."""
    folders = [name for name in CODE_FOLDERS if (root / name).is_dir()]
    files = [path for name in folders for path in sorted((root / name).rglob("*.py"))]
    return _of(root, " ".join(f"{name}/" for name in folders), files)


def of_dockerfiles(root: Path) -> Subject:
    """Every image's Dockerfile."""
    return _of(root, "images/*/Dockerfile", sorted((root / "images").glob("*/Dockerfile")))


def of_program(root: Path) -> Subject:
    """The Pulumi program, its policies and every stack's file: what the Kubernetes objects follow from."""
    files = [path for name in _PROGRAM for path in sorted((root / name).rglob("*")) if path.is_file()]
    files = [path for path in files if "__pycache__" not in path.parts]
    return _of(root, "infra/ policies/ Pulumi*.yaml", [*files, *sorted(root.glob("Pulumi*.yaml"))])


def of_checkout(root: Path) -> Subject:
    """Every file of the checkout that git tracks or would; without git, every file but what tools leave behind.

    Releases are left out: they are evidence with a hash of their own, and the one being made does not exist yet.
    """
    files = [root / name for name in _git_files(root) or _walked(root)]
    kept = [path for path in files if path.is_file() and not path.is_symlink()]
    return _of(root, "every file but releases/", [p for p in kept if p.relative_to(root).parts[0] != "releases"])


def of_release_files(hashes: dict[str, str]) -> str:
    """One hash of a release's files, from the hashes that its record names: name -> SHA-256."""
    lines = "".join(f"{name}\0{sha256}\n" for name, sha256 in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def all_of(root: Path) -> dict[str, str]:
    """Scan -> the SHA-256 that it must name, for every scan of the checkout."""
    lock, program = of_lock(root, LOCK).sha256, of_program(root).sha256
    return {
        "code": of_code(root).sha256,
        "dependencies": lock,
        "dockerfiles": of_dockerfiles(root).sha256,
        "licences": lock,
        "manifests": program,
        "sbom": of_lock(root, SERVING_LOCK).sha256,
        "sbom-project": lock,
        "secrets": of_checkout(root).sha256,
    }


def _of(root: Path, name: str, files: list[Path]) -> Subject:
    return Subject(name=name, files=tuple(files), sha256=sha256_of_files(root, files))


def _git_files(root: Path) -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return []
    return sorted({name for name in done.stdout.split("\0") if name}) if done.returncode == 0 else []


def _walked(root: Path) -> list[str]:
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if not _NOT_OURS.intersection(path.parts) and not _is_cache(path))


def _is_cache(path: Path) -> bool:
    return "__pycache__" in path.parts or any(part.endswith(".egg-info") for part in path.parts)
