"""What an ONNX model could do beyond computing: native operators, other files, absurd amounts of memory.

Works on bytes, loads no operator and runs nothing. Whatever cannot be read is a problem, never an exception.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
MAX_ELEMENTS = 100_000_000  # of one tensor, written or computed: 400 MB of float32, more than a serving pod has
MAX_NODES = 100_000
MAX_DEPTH = 8  # graphs within graphs (If, Loop)
# Operators that make a tensor of a size that a small constant says, and which input says it.
_GROWS = {"ConstantOfShape": 0, "Expand": 1, "RandomNormal": None, "RandomUniform": None, "Tile": 1}


def onnx_problems(content: bytes) -> list[str]:
    """Everything that speaks against a model; empty when it is a whole, valid model of standard operators."""
    import onnx  # noqa: PLC0415  (a third of a second that most commands do not need)

    found: list[str] = []
    try:
        model = onnx.load_model_from_string(content)
        found += _problems(model)
        onnx.checker.check_model(model)
    except Exception as error:  # noqa: BLE001  (the parser and the checker raise what they like on broken bytes)
        words = str(error).strip().splitlines() or [type(error).__name__]
        found.append(f"is no valid ONNX model: {words[0][:200]}")
    return found


def _problems(model: Any) -> Iterator[str]:
    graphs = list(_graphs(model.graph))
    nodes = [node for _depth, graph in graphs for node in graph.node]
    used = {opset.domain for opset in model.opset_import} | {node.domain for node in nodes}
    yield from (f"uses operators of {domain!r}" for domain in sorted(used - DOMAINS))
    if len(model.functions):
        yield "defines functions of its own"
    if len(model.training_info):
        yield "holds a training program"
    if len(nodes) > MAX_NODES:
        yield f"has {len(nodes)} nodes, at most {MAX_NODES} are allowed"
    if max(depth for depth, _graph in graphs) > MAX_DEPTH:
        yield f"nests graphs more than {MAX_DEPTH} deep"
    for _depth, graph in graphs:
        tensors = list(_tensors(graph))
        yield from _tensor_problems(tensors)
        yield from _growth(graph)


def _graphs(graph: Any, depth: int = 0) -> Iterator[tuple[int, Any]]:
    """The graph and those inside its nodes; not deeper than what is refused anyway."""
    yield depth, graph
    if depth > MAX_DEPTH:
        return
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _graphs(inner, depth + 1)


def _tensors(graph: Any) -> Iterator[Any]:
    """Every tensor that is written down in a graph: its constants and those in its nodes, sparse ones as well."""
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)
        if math.prod(tensor.dims) > MAX_ELEMENTS:
            yield _Claim(tensor.values.name, list(tensor.dims))


class _Claim:
    """Stands for a sparse tensor's dense form."""

    def __init__(self, name: str, dims: list[int]) -> None:
        self.name, self.dims = name, dims


def _tensor_problems(tensors: Iterable[Any]) -> Iterator[str]:
    from onnx.external_data_helper import uses_external_data  # noqa: PLC0415

    for tensor in tensors:
        elements = math.prod(tensor.dims)
        if elements > MAX_ELEMENTS or any(size < 0 for size in tensor.dims):
            yield f"tensor {tensor.name!r} claims {elements} elements, at most {MAX_ELEMENTS} are allowed"
        elif not isinstance(tensor, _Claim) and uses_external_data(tensor):
            yield f"tensor {tensor.name!r} keeps its data in another file"


def _growth(graph: Any) -> Iterator[str]:
    """Small constants from which a node would make a tensor that no pod can hold."""
    import onnx  # noqa: PLC0415

    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants |= {name: a.t for name in node.output for a in node.attribute if a.HasField("t")}
        if node.op_type not in _GROWS:
            continue
        at = _GROWS[node.op_type]
        if at is None:
            shape = next((list(a.ints) for a in node.attribute if a.name == "shape"), [])
        elif len(node.input) > at and node.input[at] in constants:
            tensor = constants[node.input[at]]
            small = math.prod(tensor.dims) <= 64
            shape = [int(size) for size in onnx.numpy_helper.to_array(tensor).ravel()] if small else []
        else:
            continue
        if (elements := math.prod(shape)) > MAX_ELEMENTS:
            yield f"{node.op_type} makes {elements} elements, at most {MAX_ELEMENTS} are allowed"
