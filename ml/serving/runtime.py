"""The ONNX session on the processor that was asked for: proven at the start, and never another one in its place.

ONNX Runtime by itself goes on with the CPU when CUDA is not in the wheel, when there is no driver or no GPU, and for
every node that CUDA has no kernel for. A pod that has a GPU and leaves it idle is refused here instead.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from ml.errors import ConfigError, GateError

Provider = Literal["cpu", "cuda"]
PROVIDERS: Final[tuple[Provider, ...]] = ("cpu", "cuda")
CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
ASSIGNMENT: Final = "session.record_ep_graph_assignment_info"

SESSION_FAULTS = (
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.InvalidProtobuf,
    ort.NotImplemented,
    ort.RuntimeException,
)
_PAGE: Final = "see docs/serving.md#on-gpus, or set ml-pipeline:gpu.enabled to false"
_LOCK: Final = f"build the image with onnxruntime-gpu: {_PAGE}"
_DRIVER: Final = f"look for the driver, the GPU and the CUDA libraries that the log names: {_PAGE}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """A model that is loaded."""

    session: Any
    nodes: Mapping[str, int]
    """Execution provider -> how many of the model's nodes it runs."""


def open_runtime(onnx: bytes, provider: Provider) -> Runtime:
    """Load a model on the processor that was asked for.

    Raises:
        GateError: `ML-SERVE-006` the model does not load.
        ConfigError: `ML-SERVE-012` CUDA was asked for and is not there, `ML-SERVE-013` it has nothing to do.
    """
    if provider == "cuda":
        require_cuda(onnxruntime.get_available_providers(), "this image's ONNX Runtime has", _LOCK)
        onnxruntime.preload_dlls()  # the CUDA libraries are packages beside the runtime, not on the loader's path
    options = _options()
    # Assignments are known only when they are recorded, which happens while the model loads.
    options.add_session_config_entry(ASSIGNMENT, "1")
    try:
        # By itself the library would load the model again, on the CPU.
        session = onnxruntime.InferenceSession(onnx, options, providers=_providers(provider), enable_fallback=0)
    except SESSION_FAULTS as error:
        if provider == "cuda":
            message = f"EXECUTION_PROVIDER='cuda': the model does not load with it: {error}"
            raise ConfigError("ML-SERVE-012", message, _DRIVER) from error
        raise GateError("ML-SERVE-006", f"model.onnx does not load: {error}", "create the release again") from error
    nodes = _nodes(session)
    if provider == "cuda":
        require_cuda(session.get_providers(), "the session came up with", _DRIVER)
        require_work(nodes)
    return Runtime(session=session, nodes=Counter(name for name, _ in nodes))


def require_cuda(providers: Sequence[str], whose: str, fix: str) -> None:
    """Refuse to go on without CUDA.

    Args:
        providers: Execution providers that are there.
        whose: Words for whose they are, such as `this image's ONNX Runtime has`.
        fix: What helps.

    Raises:
        ConfigError: `ML-SERVE-012`.
    """
    if CUDA not in providers:
        message = f"EXECUTION_PROVIDER='cuda': {whose} {', '.join(providers)}; must have {CUDA}"
        raise ConfigError("ML-SERVE-012", message, fix)


def require_work(nodes: Sequence[tuple[str, str]]) -> None:
    """Refuse a GPU that none of the model's nodes would use.

    Args:
        nodes: Of each node its execution provider and its operator.

    Raises:
        ConfigError: `ML-SERVE-013`.
    """
    if not any(provider == CUDA for provider, _ in nodes):
        kinds = ", ".join(sorted({operator for _, operator in nodes})[:10])
        message = f"EXECUTION_PROVIDER='cuda': CUDA runs none of the model's {len(nodes)} nodes ({kinds})"
        raise ConfigError("ML-SERVE-013", message, f"a GPU does not help this model: {_PAGE}")


def _providers(provider: Provider) -> list[Any]:
    """In the order in which nodes are offered to them; the CPU has a kernel for each."""
    if provider == "cpu":
        return [CPU]
    # TF32 has ten bits of mantissa where the estimator had float32's 23: the golden rows would differ.
    return [(CUDA, {"use_tf32": "0"}), CPU]


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False  # rows are small; the arena only grows the pod
    options.log_severity_level = 3
    return options


def _nodes(session: Any) -> list[tuple[str, str]]:
    """Of each node of the model its execution provider and its operator."""
    parts = session.get_provider_graph_assignment_info()
    return [(part.ep_name, node.op_type) for part in parts for node in part.get_nodes()]
