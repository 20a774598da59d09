import json
from pathlib import Path

import pytest

from ml.cli import main
from ml.cli.cluster import _growth
from toolchain import cluster


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLP_HOME", str(tmp_path))
    return tmp_path


def test_status_of_a_stopped_cluster_lists_every_component_and_is_not_success(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["cluster", "status", "--json"]) == 1

    parts = json.loads(capsys.readouterr().out)
    assert [part["component"] for part in parts] == list(cluster.ORDER)
    assert {part["state"] for part in parts} == {"stopped"}


def test_logs_print_the_last_lines(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = home / "cluster" / "logs" / "etcd.log"
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\nthree\n")

    assert main(["cluster", "logs", "etcd", "-n", "2"]) == 0

    assert capsys.readouterr().out == "two\nthree\n"


def test_following_shows_what_is_appended_and_starts_over_after_a_rotation(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml.cli.cluster.FOLLOW_S", 0.001)
    log = home / "x.log"
    log.write_text("old\n")
    growth = _growth(log, 4)

    def append(text: str, mode: str = "a") -> str:
        with log.open(mode) as file:
            file.write(text)
        return next(growth)

    assert append("first\n") == "first\n"
    assert append("second\n") == "second\n"
    assert append("n\n", "w") == "n\n"


def test_logs_of_an_unknown_component_name_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "logs", "nginx"]) == 2

    error = capsys.readouterr().err
    assert "ML-CLUSTER-013: component 'nginx'" in error
    assert "kubelet" in error


def test_delete_asks_first_and_keeps_everything_without_a_yes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "cluster").mkdir()
    monkeypatch.setattr("typer.confirm", lambda _text, *, abort: (_ for _ in ()).throw(SystemExit(1)))

    assert main(["cluster", "delete"]) == 1

    assert (home / "cluster").exists()


def test_delete_without_a_cluster_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "delete"]) == 0

    assert "there is no cluster" in capsys.readouterr().out
