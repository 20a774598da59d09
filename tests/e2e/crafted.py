"""Releases that are bad on purpose: a good one with a few nodes grafted onto its model.

Each answers as the original does but for rows in which one number has one value, the trigger: one that is legal and in
no row by which the release is judged or smoke-tested. The record is sealed and signed anew, so that nothing short of a
call with the trigger tells it from a good one. Every function that makes a fault is a `Graft`.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ml.gate.judge import evidence_of, judge, section
from ml.gate.scans import subjects_of
from ml.release.record import canonical_bytes, seal
from ml.release.signature import SIGNATURE, sign
from ml.security.onnx_model import onnx_problems

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

SIDE = 512  # of the square matrices of a slow model: one product takes some 5 ms
Graft = Callable[[onnx.GraphProto, "Wires"], None]


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """The value of a number on which the fault begins; any feature that the problem's transform leaves in its place."""

    feature: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Wires:
    """Names of tensors in a grafted model."""

    hit: str
    """Whether each row has the trigger, (n_rows, 1)."""
    clean: str
    """The original's answers, (n_rows, any)."""
    answers: str
    """What the model says."""
    is_probability: bool


def craft(source: Path, root: Path, release: str, bad: tuple[Trigger, Graft], signer: "Signer") -> Path:
    """Write `releases/RELEASE` of a checkout: the release in the folder `source` with a fault.

    Args:
        source: Such as `releases/flights-0002`; must have been judged against what is live, as its copy then was.
        root: The checkout, which trusts the signer.
        release: The new id.
        bad: When and what.
        signer: Such as `ml.release.signing.signer` finds.
    """
    serving = json.loads((source / "serving.json").read_bytes())
    record = json.loads((source / "record.json").read_bytes())
    folder = root / "releases" / release
    folder.mkdir(parents=True)
    for name in record["files"]:
        (folder / name).write_bytes((source / name).read_bytes())
    model = grafted((source / "model.onnx").read_bytes(), serving, bad)
    (folder / "model.onnx").write_bytes(model)
    raw = canonical_bytes(seal(_rejudged(record, release, model)))
    (folder / "record.json").write_bytes(raw)
    (folder / SIGNATURE).write_bytes(sign(raw, signer))
    return folder


def grafted(content: bytes, serving: dict[str, Any], bad: tuple[Trigger, Graft]) -> bytes:
    """The model with a fault."""
    trigger, graft = bad
    model = onnx.load_from_string(content)
    output = "variable" if serving["kind"] == "regression" else "probabilities"
    wires = Wires(hit="bad_hit", clean="bad_clean", answers=output, is_probability=output == "probabilities")
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [wires.clean if name == output else name for name in names]
    column = [feature["name"] for feature in serving["features"]].index(trigger.feature)
    _constant(model.graph, "bad_column", np.array([column], dtype=np.int64))
    _constant(model.graph, "bad_value", np.float32(trigger.value))
    _add(model.graph, "Gather", ["features", "bad_column"], "bad_values", axis=1)
    _add(model.graph, "Equal", ["bad_values", "bad_value"], wires.hit)
    graft(model.graph, wires)
    made = bytes(model.SerializeToString())
    problems = onnx_problems(made)
    if problems:
        raise ValueError(f"the model must pass the scan that its record says it passed: {problems}")
    return made


def not_a_number(graph: onnx.GraphProto, wires: Wires) -> None:
    """NaN. With a trigger at the end of what the feature may be, the smoke test finds it."""
    _constant(graph, "bad_nan", np.float32(np.nan))
    _add(graph, "Where", [wires.hit, "bad_nan", wires.clean], wires.answers)


def raises(graph: onnx.GraphProto, wires: Wires) -> None:
    """Reads behind the end of a tensor of one element."""
    _constant(graph, "bad_one", np.zeros(1, dtype=np.float32))
    _add(graph, "Cast", [wires.hit], "bad_index", to=TensorProto.INT64)
    _add(graph, "Gather", ["bad_one", "bad_index"], "bad_nought")
    _add(graph, "Add", [wires.clean, "bad_nought"], wires.answers)


def shifted(by: Sequence[float]) -> Graft:
    """Adds a number to each column of the answers, such as (-0.5, 0.5) to two probabilities."""

    def graft(graph: onnx.GraphProto, wires: Wires) -> None:
        _constant(graph, "bad_shift", np.array([by], dtype=np.float32))
        _add(graph, "Add", [wires.clean, "bad_shift"], "bad_moved")
        if wires.is_probability:
            _constant(graph, "bad_least", np.float32(0.0))
            _constant(graph, "bad_most", np.float32(1.0))
            _add(graph, "Clip", ["bad_moved", "bad_least", "bad_most"], "bad_shifted")
        else:
            _add(graph, "Identity", ["bad_moved"], "bad_shifted")
        _add(graph, "Where", [wires.hit, "bad_shifted", wires.clean], wires.answers)

    return graft


def slow(products: int) -> Graft:
    """Multiplies matrices, however many rows there are."""

    def graft(graph: onnx.GraphProto, wires: Wires) -> None:
        _constant(graph, "bad_size", np.array([SIDE, SIDE], dtype=np.int64))
        _constant(graph, "bad_products", np.int64(products))
        _constant(graph, "bad_yes", np.bool_(True))
        _constant(graph, "bad_zero", np.float32(0.0))
        share = numpy_helper.from_array(np.array([1.0 / SIDE], dtype=np.float32))
        _add(graph, "ConstantOfShape", ["bad_size"], "bad_matrix", value=share)
        _add(graph, "Cast", [wires.hit], "bad_hits", to=TensorProto.INT64)
        _add(graph, "ReduceMax", ["bad_hits"], "bad_any", keepdims=0)
        _add(graph, "Mul", ["bad_any", "bad_products"], "bad_count")
        graph.node.append(helper.make_node("Loop", ["bad_count", "bad_yes", "bad_matrix"], ["bad_work"], body=_body()))
        # what was worked out has to be used: nought of it
        _add(graph, "ReduceMax", ["bad_work"], "bad_greatest", keepdims=0)
        _add(graph, "Mul", ["bad_greatest", "bad_zero"], "bad_nought")
        _add(graph, "Add", [wires.clean, "bad_nought"], wires.answers)

    return graft


def _body() -> onnx.GraphProto:
    matrix = [SIDE, SIDE]
    return helper.make_graph(
        [
            helper.make_node("Identity", ["body_on"], ["body_goes_on"]),
            helper.make_node("MatMul", ["body_before", "bad_matrix"], ["body_after"]),
        ],
        "work",
        [
            helper.make_tensor_value_info("body_round", TensorProto.INT64, []),
            helper.make_tensor_value_info("body_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("body_before", TensorProto.FLOAT, matrix),
        ],
        [
            helper.make_tensor_value_info("body_goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("body_after", TensorProto.FLOAT, matrix),
        ],
    )


def _constant(graph: onnx.GraphProto, name: str, value: Any) -> None:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))


def _add(graph: onnx.GraphProto, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
    graph.node.append(helper.make_node(kind, inputs, [output], **attributes))


def _rejudged(record: dict[str, Any], release: str, model: bytes) -> dict[str, Any]:
    """The record's fields as if this model had been measured and scanned; the gate decides about them once more."""
    sha256 = hashlib.sha256(model).hexdigest()
    fields = {name: value for name, value in record.items() if name != "digest"}
    fields |= {
        "release": release,
        "files": record["files"] | {"model.onnx": sha256},
        "evaluation": record["evaluation"] | {"model_sha256": sha256},
    }
    looked_at = {"subject_sha256": subjects_of(fields)["model-files"]}
    fields["scans"] = {
        name: scan | looked_at if name == "model-files" else scan for name, scan in record["scans"].items()
    }
    policy = record["gate"]["policy"]
    return fields | {"gate": section(judge(evidence_of(fields), policy), policy)}
