import json
from pathlib import Path

import pytest

from ml.cli import main
from ml.errors import ConfigError
from ml.security.result import Scan, Verdict
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


def made(verdict: Verdict) -> Scan:
    common = {"tool": "bandit", "version": "1", "subject": "ml/", "subject_sha256": "a" * 64}
    more = {"scanned_at": "2026-01-31T12:00:00Z", "findings": ("ml/some.py:4: B301",)}
    return Scan(**common, covered=3, total=7, verdict=verdict, reason="three of seven", **more)


@pytest.mark.parametrize(("verdict", "exit_code"), [("pass", 0), ("fail", 3), ("incomplete", 3)])
def test_a_scan_that_fails_has_its_exit_code_and_the_results_are_kept(
    tmp_path: Path,
    verdict: Verdict,
    exit_code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[bool] = []

    def scan_all(*_: object, fresh: bool) -> dict[str, Scan]:
        asked.append(fresh)
        return {"code": made(verdict)}

    monkeypatch.setattr("ml.cli.scan.scan_all", scan_all)

    code = main(["scan", "--fresh", "--root", str(tmp_path), "--out", str(tmp_path / "out/scan.json")])

    assert code == exit_code
    assert json.loads((tmp_path / "out/scan.json").read_text()) == {"code": made(verdict).to_json()}
    out = capsys.readouterr().out
    assert all(word in out for word in ("3/7", "2026-01-31 12:00", "three of seven", "ml/some.py:4: B301", "bandit 1"))
    assert asked == [True]
