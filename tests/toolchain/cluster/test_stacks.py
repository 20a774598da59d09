import json
from pathlib import Path

from toolchain.cluster import stacks


def _stack(state: Path, name: str, kubeconfig: str) -> Path:
    folder = state / ".pulumi" / "stacks" / "ml-pipeline"
    folder.mkdir(parents=True, exist_ok=True)
    resources = [{"type": "pulumi:providers:kubernetes", "inputs": {"kubeconfig": kubeconfig}}]
    for suffix in (".json", ".json.bak", ".json.attrs"):
        (folder / f"{name}{suffix}").write_text(json.dumps({"checkpoint": {"latest": {"resources": resources}}}))
    return folder


def test_stacks_of_the_cluster_are_forgotten_and_those_of_others_stay(tmp_path: Path) -> None:
    folder = _stack(tmp_path, "staging", "/opt/a/cluster/admin.kubeconfig")
    _stack(tmp_path, "prod", "/elsewhere/kubeconfig")

    assert stacks.forget(tmp_path, Path("/opt/a/cluster/admin.kubeconfig")) == ["staging"]
    assert sorted(path.name for path in folder.iterdir()) == ["prod.json", "prod.json.attrs", "prod.json.bak"]


def test_a_home_without_any_state_is_fine(tmp_path: Path) -> None:
    assert stacks.forget(tmp_path, tmp_path / "kubeconfig") == []
