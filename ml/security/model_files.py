"""Whether a release's files can run code when they are loaded: no pickle, and an ONNX model of standard operators.

A pickle runs what it likes on load, and so do the formats built on it (joblib, PyTorch, NumPy's object arrays). What
an ONNX model can do stands in `ml.security.onnx_model`. Scanners of pickles have many ways around them, so nothing is
looked for inside one: it is refused as such.
"""

import io
import json
import pickletools
import re
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from ml.release.store import FILES, sha256_of
from ml.security.onnx_model import onnx_problems
from ml.security.result import Scan
from ml.security.subjects import of_release_files

# What a record names, and what stands beside it: the record itself, its signature and its report.
_NAMED = re.compile(r"[a-z][a-z0-9-]*\.(json|onnx)")
_BESIDE = frozenset({"record.json", "record.dsse.json", "report.html"})
_OF_AN_IMAGE = re.compile(r"images/[0-9a-f]{64}\.json")
MAX_BYTES = 256 * 2**20  # a release's model is in git and in an image; a thousand times ours
# The containers of pickles and of what hides them: PyTorch, Keras and joblib, compressed or not.
_MAGIC = {
    b"\x80": "a pickle",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip file",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x5d\x00\x00": "an LZMA file",
    b"\x78\x01": "a zlib stream",
    b"\x78\x5e": "a zlib stream",
    b"\x78\x9c": "a zlib stream",
    b"\x78\xda": "a zlib stream",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"\x7fELF": "a program",
    b"#!": "a script",
}
_TAR_AT, _TAR = 257, b"ustar"


def scan_model_files(directory: Path, subject: str) -> Scan:
    """Look at every file of a release. The hash is of the files that a record names."""
    files = sorted(path for path in directory.rglob("*") if not path.is_dir() or path.is_symlink())
    findings = [line for path in files for line in _problems(directory, path)]
    findings += [f"{name}: is missing" for name in FILES if not (directory / name).is_file()]
    named = [path for path in files if path.parent == directory and _is_named(path.name) and path.is_file()]
    hashes = {path.name: sha256_of(path) for path in named}
    return Scan(
        tool="ml.security",
        version=f"onnx {version('onnx')}",
        subject=subject,
        subject_sha256=of_release_files(hashes),
        covered=len(files),
        total=len(files),
        verdict="fail" if findings else "pass",
        reason=f"{len(findings)} findings in {len(files)} files",
        findings=tuple(findings),
    )


def _is_named(name: str) -> bool:
    return _NAMED.fullmatch(name) is not None and name not in _BESIDE


def _problems(directory: Path, path: Path) -> Iterator[str]:
    name = path.relative_to(directory).as_posix()
    if path.is_symlink():
        yield f"{name}: is a link"
        return
    if not path.is_file():
        yield f"{name}: is no regular file"
        return
    if name not in _BESIDE and not _is_named(name) and _OF_AN_IMAGE.fullmatch(name) is None:
        yield f"{name}: is no file of a release"
    if (size := path.stat().st_size) > MAX_BYTES:
        yield f"{name}: has {size} bytes, at most {MAX_BYTES} are allowed"
        return
    content = path.read_bytes()
    yield from (f"{name}: {problem}" for problem in _content_problems(path.suffix, content))


def _content_problems(suffix: str, content: bytes) -> Iterator[str]:
    yield from (f"is {what}" for magic, what in _MAGIC.items() if content.startswith(magic))
    if content[_TAR_AT:].startswith(_TAR):
        yield "is a tar archive"
    if not content.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(content)):
        yield "has a zip archive at its end"
    if not content.startswith(b"\x80") and _is_old_pickle(content):
        yield "is a pickle"
    if suffix == ".json":
        yield from _json_problems(content)
    elif suffix == ".onnx":
        yield from onnx_problems(content)


def _is_old_pickle(content: bytes) -> bool:
    """Whether the bytes are a pickle of protocol 0 or 1, which has no magic number; nothing is loaded."""
    try:
        return any(operation.name == "STOP" for operation, _argument, _at in pickletools.genops(content))
    except Exception:  # noqa: BLE001  (whatever the disassembler cannot follow is no pickle, and it raises anything)
        return False


def _json_problems(content: bytes) -> Iterator[str]:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        yield "is no JSON"
