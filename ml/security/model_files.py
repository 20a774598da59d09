"""Whether a release's files can run code when they are loaded: no pickle, and an ONNX model of standard operators.

A pickle runs what it likes on load, and so do the formats built on it (joblib, PyTorch). An ONNX model of custom
operators needs a native library, and one with external data reads other files.
"""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml.security.result import Scan, sha256_of_files

ALLOWED = frozenset({"record.json", "model.onnx", "serving.json", "evaluation.json", "report.html"})
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
# Protocol 2 and later of pickle; zip, gzip and HDF5 are the containers of joblib, PyTorch, Keras.
_MAGIC = {b"\x80": "a pickle", b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip file", b"\x89HDF": "an HDF5 file"}


def scan_model_files(directory: Path, subject: str) -> Scan:
    """Look at every file of a release."""
    files = sorted(path for path in directory.rglob("*") if not path.is_dir())
    findings = [line for path in files for line in _problems(directory, path)]
    if not (directory / "model.onnx").is_file():
        findings.append("model.onnx: is missing")
    return Scan(
        tool="ml.security",
        version=f"onnx {version('onnx')}",
        subject=subject,
        subject_sha256=sha256_of_files(directory, [path for path in files if path.is_file()]),
        covered=len(files),
        total=len(files),
        verdict="fail" if findings else "pass",
        reason=f"{len(findings)} findings in {len(files)} files",
        findings=tuple(findings),
    )


def _problems(directory: Path, path: Path) -> Iterator[str]:
    name = path.relative_to(directory).as_posix()
    if path.is_symlink():
        yield f"{name}: is a link"
        return
    if name not in ALLOWED:
        yield f"{name}: is no file of a release"
    with path.open("rb") as file:
        head = file.read(8)
    yield from (f"{name}: is {what}" for magic, what in _MAGIC.items() if head.startswith(magic))
    if path.suffix == ".onnx":
        yield from (f"{name}: {problem}" for problem in _onnx_problems(path))


def _onnx_problems(path: Path) -> Iterator[str]:
    import onnx  # noqa: PLC0415  (a third of a second that most commands do not need)
    from google.protobuf.message import DecodeError  # noqa: PLC0415
    from onnx.external_data_helper import uses_external_data  # noqa: PLC0415

    try:
        model = onnx.load(str(path), load_external_data=False)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        yield f"is no valid ONNX model: {str(error).strip().splitlines()[0]}"
        return
    yield from (f"uses operators of {d.domain!r}" for d in model.opset_import if d.domain not in DOMAINS)
    if len(model.functions):
        yield "defines functions of its own"
    if any(uses_external_data(tensor) for tensor in _tensors(model.graph)):
        yield "keeps data in another file"


def _tensors(graph: Any) -> Iterator[Any]:
    """Every tensor of a graph: its constants, those in its nodes, and those of graphs inside nodes (If, Loop)."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _tensors(inner)
