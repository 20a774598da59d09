"""The entry points of our images, run for real against stand-ins for the servers they start."""

import configparser
import importlib.util
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[3] / "images"
# What the script calls, reduced to what it relies on: initdb fills a folder, the others say that they were called.
STAND_INS = {
    "initdb": 'd=${1#--pgdata=}; mkdir -p "$d"; echo half > "$d/PG_VERSION"; sleep "${INIT_S:-0}"; '
    'echo whole > "$d/PG_VERSION"',
    "pg_ctl": 'echo "pg_ctl $*" >> "$CALLS"',
    "psql": 'echo "psql $*" >> "$CALLS"; exit "${PSQL:-0}"',
    "postgres": 'echo "postgres $*" >> "$CALLS"; sleep "${RUN_S:-0}"',
}


class Database:
    """The volume and the stand-ins of one test."""

    def __init__(self, folder: Path) -> None:
        self.volume, self.secrets, self.calls = folder / "volume", folder / "secrets", folder / "calls"
        self.data = self.volume / "pgdata"
        commands = folder / "bin"
        for path in (self.volume, self.secrets, commands):
            path.mkdir()
        (self.secrets / "password").write_text("s3cret-of-the-role")
        self.training = folder / "training"
        self.training.mkdir()
        (self.training / "password").write_text("s3cret-of-training")
        for name, body in STAND_INS.items():
            (commands / name).write_text(f"#!/bin/bash\n{body}\n")
            (commands / name).chmod(0o755)
        self.environment = {
            "PATH": f"{commands}:/usr/bin:/bin",
            "PGDATA": str(self.data),
            "SECRETS": str(self.secrets),
            "TRAINING_SECRETS": str(self.training),
            "CONFIG": str(IMAGES / "postgres"),
            "CALLS": str(self.calls),
        }

    def start(self, **extra: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", IMAGES / "postgres/entrypoint.sh"],
            env={**self.environment, **extra},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, **extra: str) -> tuple[int, str]:
        process = self.start(**extra)
        output, _ = process.communicate(timeout=20)
        return process.returncode, output

    def called(self) -> list[str]:
        return [line.split()[0] for line in self.calls.read_text().splitlines()]


@pytest.fixture
def database(tmp_path):
    return Database(tmp_path)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not appear"
        time.sleep(0.02)


def kill(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_an_empty_volume_becomes_a_cluster_which_is_prepared_before_the_network_is_opened(database):
    code, output = database.run()

    assert code == 0, output
    assert (database.data / "PG_VERSION").read_text() == "whole\n"
    assert database.called() == ["pg_ctl", "psql", "pg_ctl", "postgres"]
    assert "listen_addresses=''" in database.calls.read_text().splitlines()[0]


def test_a_second_start_keeps_the_cluster(database):
    database.run()
    (database.data / "rows").write_text("data")

    code, output = database.run()

    assert code == 0, output
    assert (database.data / "rows").read_text() == "data"


def test_a_kill_while_the_cluster_is_made_leaves_nothing_that_the_next_start_would_trust(database):
    process = database.start(INIT_S="30")
    wait_for(database.volume / "pgdata.new" / "PG_VERSION")
    kill(process)
    assert not database.data.exists()

    code, output = database.run()

    assert code == 0, output
    assert (database.data / "PG_VERSION").read_text() == "whole\n"
    assert not (database.volume / "pgdata.new").exists()


def test_the_pid_file_of_a_killed_container_does_not_stop_the_next_one(database):
    database.run()
    (database.data / "postmaster.pid").write_text("1\n")

    code, output = database.run()

    assert code == 0, output
    assert not (database.data / "postmaster.pid").exists()


def test_two_containers_never_run_on_one_volume(database):
    first = database.start(RUN_S="30")
    wait_for(database.data)

    code, output = database.run()
    kill(first)

    assert code == 1
    assert "another container holds" in output


def test_a_data_directory_that_was_opened_to_the_group_is_closed_again(database):
    database.run()
    database.data.chmod(0o770)

    database.run()

    assert stat.S_IMODE(database.data.stat().st_mode) == 0o700


def test_a_failed_preparation_ends_the_start(database):
    code, _ = database.run(PSQL="3")

    assert code == 3
    assert "postgres" not in database.called()


@pytest.mark.parametrize("of", ["secrets", "training"])
@pytest.mark.parametrize("content", [None, ""])
def test_a_missing_or_empty_password_is_named(database, content, of):
    password = getattr(database, of) / "password"
    password.unlink() if content is None else password.write_text(content)

    code, output = database.run()

    assert code == 1
    assert str(password) in output
    assert "Fix:" in output
    assert not database.data.exists()


def test_the_password_is_in_no_argument_and_no_output(database):
    _, output = database.run()

    assert "s3cret-of" not in database.calls.read_text() + output


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The tracking server's entry point as a module, with its folders below `tmp_path`."""
    files = {
        "postgres/password": "pa:ss\\word%\n",
        "mlflow/username": "operator\n",
        "mlflow/password": "a-long-password\n",
        "mlflow/flask-secret-key": "key\n",
    }
    for name, text in files.items():
        path = tmp_path / "secrets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setenv("RUNTIME", str(tmp_path / "run"))
    spec = importlib.util.spec_from_file_location("mlflow_entrypoint", IMAGES / "mlflow/entrypoint.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    environment: dict[str, str] = {}
    monkeypatch.setattr(module.os, "environ", environment)
    return module, tmp_path / "run", environment


def test_the_database_password_stands_in_a_private_file_and_in_no_address(server):
    module, run, environment = server

    module.configure()

    assert (run / "pgpass").read_text() == "*:*:*:mlflow:pa\\:ss\\\\word%\n"
    assert stat.S_IMODE((run / "pgpass").stat().st_mode) == 0o600
    assert environment["MLFLOW_BACKEND_STORE_URI"] == (
        f"postgresql+psycopg2://mlflow@postgres:5432/mlflow?passfile={run}/pgpass"
    )
    assert "word%" not in "".join(environment.values()) + (run / "auth.ini").read_text()


def test_the_login_settings_are_read_as_they_are_meant(server):
    module, run, _ = server
    module.configure()

    parsed = configparser.ConfigParser()  # what MLflow reads them with: a percent sign would be interpolated
    parsed.read(run / "auth.ini")

    assert parsed["mlflow"]["default_permission"] == "NO_PERMISSIONS"
    assert parsed["mlflow"]["database_uri"].endswith(f"/mlflow_auth?passfile={run}/pgpass")
    assert 0 < parsed["mlflow"].getint("auth_cache_ttl_seconds") <= 60


def test_counters_of_processes_that_are_gone_are_dropped_at_a_start(server):
    module, run, _ = server
    (run / "metrics").mkdir()
    (run / "metrics" / "counter_7.db").write_text("old")

    module.configure()

    assert list((run / "metrics").iterdir()) == []


def test_a_missing_secret_ends_the_server_with_the_name_of_its_file(server, tmp_path):
    module, _, _ = server
    (tmp_path / "secrets/mlflow/flask-secret-key").unlink()

    with pytest.raises(SystemExit, match="flask-secret-key is missing or empty"):
        module.configure()
