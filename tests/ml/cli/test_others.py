import json
from pathlib import Path
from typing import Any

import pytest

from ml.cli import main
from ml.errors import ConfigError
from ml.stack.publish import publish, tracking_uri
from ml.stack.slots import State
from tests.ml.stack.fakes import Namespace, api_server


def test_the_password_is_all_that_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    space = Namespace()
    space.secret("mlflow-auth", username="admin", password="very secret")
    (tmp_path / "Pulumi.staging.yaml").write_text("config: {}\n")
    monkeypatch.setenv("MLP_KUBECONFIG", str(tmp_path / "kubeconfig"))

    with api_server({"ml-staging": space}, tmp_path / "kubeconfig"):
        assert main(["mlflow-password", "--stack", "staging", "--root", str(tmp_path)]) == 0

    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("very secret\n", "")


def test_without_a_stack_output_the_node_port_says_where_mlflow_is(tmp_path: Path) -> None:
    space = Namespace()
    space.objects["service", "mlflow"] = {"spec": {"ports": [{"port": 5000}, {"port": 5001, "nodePort": 30500}]}}

    assert tracking_uri(tmp_path, "staging", space) == "http://127.0.0.1:30500"
    with pytest.raises(ConfigError, match="ML-TRACK-020"):
        tracking_uri(tmp_path, "staging", Namespace())


def test_publishing_asks_for_the_login_before_anything_else(tmp_path: Path) -> None:
    space = Namespace()
    space.secret("mlflow-auth", username="admin", password="p")

    with pytest.raises(ConfigError, match="ML-TRACK-020"):
        publish(tmp_path, "staging", State(), space, lambda step: None)


def test_the_drift_check_prints_one_line_and_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "serving.json").write_text(json.dumps({"problem": "p", "features": [], "reference": {}}))

    code = main(["drift", "check", "--release-dir", str(tmp_path), "--prometheus", "http://127.0.0.1:9"])

    assert (code, capsys.readouterr().err[:12]) == (7, "ML-DRIFT-002")


def scanned(tmp_path: Path, line: str) -> tuple[int, dict[str, Any]]:
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml/some.py").write_text(line)
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "images/serving").mkdir(parents=True)
    (tmp_path / "images/serving/requirements.txt").write_text("numpy==2.4.6 \\\n    --hash=sha256:" + "a" * 64 + "\n")
    code = main(["scan", "--root", str(tmp_path), "--out", str(tmp_path / "out/scan.json")])
    return code, json.loads((tmp_path / "out/scan.json").read_text())


@pytest.mark.parametrize(
    ("line", "exit_code", "verdict"),
    [("A = 1\n", 0, "pass"), ("import pickle\n\ndef f(x):\n    return pickle.loads(x)\n", 3, "fail")],
)
def test_a_scan_that_fails_has_its_exit_code_and_the_results_are_kept(
    tmp_path: Path, line: str, exit_code: int, verdict: str
) -> None:
    code, results = scanned(tmp_path, line)

    assert (code, results["code"]["verdict"]) == (exit_code, verdict)
    assert results["dependencies"]["verdict"] == "incomplete"  # nothing to audit is not a pass
    assert results["sbom"]["verdict"] == "pass"
