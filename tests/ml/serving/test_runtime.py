"""Which processor runs the model: what was asked for, or no server at all."""

from pathlib import Path
from typing import Any

import pytest

from ml.errors import ConfigError
from ml.serving.bundle import load
from ml.serving.runtime import CPU, CUDA, open_runtime, require_cuda, require_work
from ml.serving.settings import from_environment
from tests.ml.serving.process import Server
from tests.ml.serving.releases import IRIS_WEIGHTS, linear_model, make_release


def test_the_runtime_says_of_every_node_what_runs_it() -> None:
    runtime = open_runtime(linear_model(IRIS_WEIGHTS, "probabilities"), "cpu")

    assert runtime.nodes == {CPU: 2}
    assert runtime.session.get_providers() == [CPU]


def test_asking_for_cuda_where_the_wheel_has_none_is_refused_and_not_run_on_the_cpu(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    load(tmp_path, release)  # the control: nothing else is wrong with it

    with pytest.raises(
        ConfigError, match=r"ML-SERVE-012: EXECUTION_PROVIDER='cuda'.*must have CUDAExecution"
    ) as caught:
        load(tmp_path, release, "cuda")
    assert "onnxruntime-gpu" in caught.value.fix


def test_the_server_ends_with_that_code_and_never_becomes_ready(tmp_path: Path, keys_file: Path) -> None:
    release = make_release(tmp_path)
    server = Server(tmp_path, release, keys_file, EXECUTION_PROVIDER="cuda")

    output, _ = server.process.communicate(timeout=20)

    assert server.process.returncode == ConfigError.exit_code
    assert '"code":"ML-SERVE-012"' in output.replace(" ", "")
    assert '"ready"' not in output


def test_the_server_says_what_runs_the_model(tmp_path: Path, keys_file: Path) -> None:
    release = make_release(tmp_path)
    with Server(tmp_path, release, keys_file, EXECUTION_PROVIDER="cpu") as server:
        _, log = server.stop()

    (ready,) = [line for line in log if line["event"] == "ready"]
    assert set(ready["nodes"]) == {CPU}


@pytest.mark.parametrize(
    ("providers", "refused"), [([CUDA, CPU], False), ([CPU], True), ([], True), (["AzureExecutionProvider", CPU], True)]
)
def test_only_a_session_that_really_has_cuda_goes_on(providers: list[str], refused: bool) -> None:  # noqa: FBT001
    def ask() -> None:
        require_cuda(providers, "the session came up with", "look at the node")

    if not refused:
        ask()
        return
    with pytest.raises(ConfigError, match="ML-SERVE-012"):
        ask()


TREES = [(CPU, "TreeEnsembleClassifier"), (CPU, "LabelEncoder"), (CPU, "Reshape")]


def test_a_gpu_that_no_node_would_use_is_refused_with_the_operators() -> None:
    with pytest.raises(ConfigError, match=r"none of the model's 3 nodes \(LabelEncoder, Reshape, TreeEnsem") as caught:
        require_work(TREES)
    assert caught.value.code == "ML-SERVE-013"

    require_work([*TREES, (CUDA, "MatMul")])


@pytest.mark.parametrize("named", ["", "gpu", "CUDA", "cuda "])
def test_an_unknown_provider_is_a_wrong_environment(named: str) -> None:
    environment: dict[str, Any] = {"MODEL_DIR": "/model", "MODEL_VERSION": "iris-0001", "ALLOW_ANONYMOUS": "true"}
    assert from_environment(environment).provider == "cpu"
    assert from_environment(environment | {"EXECUTION_PROVIDER": "cuda"}).provider == "cuda"

    with pytest.raises(ConfigError, match=r"ML-SERVE-001: EXECUTION_PROVIDER=.*must be 'cpu' or 'cuda'"):
        from_environment(environment | {"EXECUTION_PROVIDER": named})
