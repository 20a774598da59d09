import hashlib
import io
import json
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ml.security import model_files, onnx_model
from ml.security.model_files import scan_model_files
from ml.security.onnx_model import onnx_problems
from ml.security.subjects import of_release_files


def model(domain: str = "", external: bool = False) -> bytes:  # noqa: FBT001, FBT002  (a switch of the test's data)
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    if external:
        weight.ClearField("float_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="../../secret")
    node = helper.make_node("Add" if not domain else "Own", ["features", "w"], ["y"], domain=domain)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("features", "y")]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    found: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return found


def graph_of(*nodes: Any, constants: Any = (), outputs: Any = ("y",)) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("features", *outputs)]
    made = helper.make_graph(list(nodes), "g", ends[:1], ends[1:], list(constants))
    found: bytes = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return found


def shape(*sizes: int) -> Any:
    return numpy_helper.from_array(np.array(sizes, dtype=np.int64), "s")


def grown(operator: str, *sizes: int) -> bytes:
    inputs = {"ConstantOfShape": ["s"], "Expand": ["features", "s"], "Tile": ["features", "s"]}[operator]
    return graph_of(helper.make_node(operator, inputs, ["y"]), constants=[shape(*sizes)])


def constant_node(*sizes: int) -> bytes:
    nodes = [
        helper.make_node("Constant", [], ["s"], value=shape(*sizes)),
        helper.make_node("Expand", ["features", "s"], ["y"]),
    ]
    return graph_of(*nodes)


def inside_if(weight: Any) -> bytes:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["b"])],
        "branch",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, ["n"])],
        [weight],
    )
    condition = numpy_helper.from_array(np.array(True), "c")
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    return graph_of(node, constants=[condition])


def external() -> Any:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    weight.ClearField("float_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../secret")
    return weight


def huge() -> bytes:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    weight.dims[:] = [1 << 40]
    return graph_of(helper.make_node("Add", ["features", "w"], ["y"]), constants=[weight])


def with_functions() -> bytes:
    found = onnx.load_model_from_string(model())
    own = helper.make_function(
        "local", "f", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])], [helper.make_opsetid("", 17)]
    )
    found.functions.append(own)
    found.opset_import.append(helper.make_opsetid("local", 1))
    whole: bytes = found.SerializeToString()
    return whole


def zipped(prefix: bytes = b"") -> bytes:
    out = io.BytesIO(prefix)
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("data.pkl", pickle.dumps({}))
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("data.pkl"))
    return out.getvalue()


def objects() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([{}], dtype=object), allow_pickle=True)
    return out.getvalue()


def _write(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda directory: (directory / name).write_bytes(content)


UNSAFE = {
    "a pickle": (_write("model.pkl", pickle.dumps({})), "model.pkl: is a pickle"),
    "a pickle by another name": (_write("serving.json", pickle.dumps({})), "serving.json: is a pickle"),
    "a pickle without a magic number": (_write("serving.json", pickle.dumps([1], 0)), "serving.json: is a pickle"),
    "a binary pickle of protocol 1": (_write("model.onnx", pickle.dumps([1], 1)), "model.onnx: is a pickle"),
    "joblib, compressed": (_write("model.onnx", zlib.compress(pickle.dumps({}))), "is a zlib stream"),
    "a zip archive with a pickle": (_write("model.onnx", zipped()), "model.onnx: is a zip archive"),
    "a zip archive behind a model": (
        _write("model.onnx", zipped(model())),
        "has a zip archive at its end",
    ),
    "a tar archive": (_write("model.onnx", tarred()), "model.onnx: is a tar archive"),
    "objects of NumPy": (_write("model.onnx", objects()), "model.onnx: is a NumPy file"),
    "HDF5": (_write("model.onnx", b"\x89HDF\r\n"), "is an HDF5 file"),
    "a script": (_write("report.html", b"#!/bin/sh"), "report.html: is a script"),
    "a stranger": (_write("notes.txt", b"hello"), "notes.txt: is no file of a release"),
    "a folder's file": (
        lambda d: ((d / "a").mkdir(), (d / "a/model.onnx").write_bytes(model())),
        "a/model.onnx: is no",
    ),
    "no JSON": (_write("serving.json", b"{"), "serving.json: is no JSON"),
    "no model": (lambda d: (d / "model.onnx").unlink(), "model.onnx: is missing"),
    "an empty model": (_write("model.onnx", b""), "model.onnx: is no valid ONNX model"),
    "no onnx": (_write("model.onnx", b"\xff\xff"), "model.onnx: is no valid ONNX model"),
    "own operators": (_write("model.onnx", model("evil")), "uses operators of 'evil'"),
    "operators of a runtime": (_write("model.onnx", model("com.microsoft")), "uses operators of 'com.microsoft'"),
    "own functions": (_write("model.onnx", with_functions()), "defines functions of its own"),
    "external data": (_write("model.onnx", model(external=True)), "model.onnx: tensor 'w' keeps its data in another"),
    "external data in a branch": (_write("model.onnx", inside_if(external())), "'w' keeps its data in another file"),
    "more data than there is": (_write("model.onnx", huge()), "model.onnx: "),
    "a bomb": (_write("model.onnx", grown("ConstantOfShape", 1 << 40)), "ConstantOfShape makes 1099511627776 elements"),
    "a bomb by repetition": (_write("model.onnx", grown("Tile", 1 << 20, 1 << 20)), "Tile makes"),
    "a bomb in a node": (_write("model.onnx", constant_node(1 << 20, 1 << 20)), "Expand makes"),
    "a link": (lambda d: (d / "report.html").symlink_to("/etc/passwd"), "report.html: is a link"),
    "a link to a folder": (lambda d: (d / "more").symlink_to("/etc"), "more: is a link"),
}


@pytest.fixture
def release_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "release"
    directory.mkdir()
    (directory / "model.onnx").write_bytes(model())
    (directory / "serving.json").write_text("{}")
    return directory


def test_a_standard_model_is_safe(release_dir: Path) -> None:
    scan = scan_model_files(release_dir, "it")

    assert (scan.verdict, scan.covered, scan.total, scan.version) == ("pass", 2, 2, f"onnx {onnx.__version__}")
    hashes = {name: model_files.sha256_of(release_dir / name) for name in ("model.onnx", "serving.json")}
    assert scan.subject_sha256 == of_release_files(hashes)


@pytest.mark.parametrize(("spoil", "finding"), UNSAFE.values(), ids=UNSAFE.keys())
def test_a_file_that_can_run_code_fails(release_dir: Path, spoil: Callable[[Path], Any], finding: str) -> None:
    spoil(release_dir)

    scan = scan_model_files(release_dir, "it")

    assert scan.verdict == "fail"
    assert any(finding in line for line in scan.findings), scan.findings


def test_moderate_growth_and_ordinary_branches_are_no_finding() -> None:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])

    assert [onnx_problems(m) for m in (grown("Tile", 2, 2), constant_node(4), inside_if(weight))] == [[], [], []]


@pytest.mark.parametrize(
    ("limit", "value", "finding"),
    [
        ("MAX_ELEMENTS", 0, "tensor 'w' claims 1 elements"),
        ("MAX_NODES", 0, "has 1 nodes"),
        ("MAX_DEPTH", -1, "nests graphs"),
    ],
)
def test_absurd_sizes_are_found(monkeypatch: pytest.MonkeyPatch, limit: str, value: int, finding: str) -> None:
    monkeypatch.setattr(onnx_model, limit, value)

    assert any(finding in line for line in onnx_problems(model()))


def test_a_file_beyond_the_limit_is_not_even_read(release_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "MAX_BYTES", 10)

    assert any("bytes, at most 10 are allowed" in line for line in scan_model_files(release_dir, "it").findings)


WHOLE = model()


@given(at=st.integers(0, len(WHOLE) - 1), bits=st.integers(1, 255), cut=st.integers(0, len(WHOLE)))
@example(at=0, bits=255, cut=0)
def test_broken_bytes_never_crash_and_are_never_taken_for_the_model_that_was_judged(
    tmp_path_factory: pytest.TempPathFactory, at: int, bits: int, cut: int
) -> None:
    flipped = WHOLE[:at] + bytes([WHOLE[at] ^ bits]) + WHOLE[at + 1 :]
    directory = tmp_path_factory.mktemp("broken")
    (directory / "serving.json").write_text("{}")
    judged = of_release_files(
        {name: hashlib.sha256(c).hexdigest() for name, c in (("model.onnx", WHOLE), ("serving.json", b"{}"))}
    )

    for content in (flipped, WHOLE[:cut], WHOLE + flipped):
        (directory / "model.onnx").write_bytes(content)
        scan = scan_model_files(directory, "it")
        assert scan.verdict == "fail" or scan.subject_sha256 != judged or content == WHOLE


@given(st.binary(max_size=300))
def test_random_bytes_are_no_model(content: bytes) -> None:
    assert onnx_problems(content) != []


@given(st.binary(max_size=300))
def test_no_bytes_make_the_look_at_a_file_fail(content: bytes) -> None:
    for suffix in (".onnx", ".json", ".html"):
        assert isinstance(list(model_files._content_problems(suffix, content)), list)


def test_evidence_of_images_may_stand_beside_and_is_not_part_of_what_was_judged(release_dir: Path) -> None:
    before = scan_model_files(release_dir, "it")
    for name in ("record.json", "record.dsse.json", f"images/{'a' * 64}.json"):
        (release_dir / name).parent.mkdir(exist_ok=True)
        (release_dir / name).write_text("{}")

    after = scan_model_files(release_dir, "it")
    assert (after.verdict, after.covered, after.subject_sha256) == ("pass", 5, before.subject_sha256)


def test_the_json_of_a_release_is_read_as_such(release_dir: Path) -> None:
    (release_dir / "serving.json").write_text(json.dumps({"a": [1] * 10}))

    assert scan_model_files(release_dir, "it").verdict == "pass"
