import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolchain.cluster import processes

SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"


def start(tmp_path: Path, code: str) -> processes.Record:
    command = processes.Command(
        argv=[sys.executable, "-c", code], environment={"PATH": os.environ["PATH"]}, cwd=tmp_path, fingerprint="f"
    )
    return processes.start(command, log=tmp_path / "logs" / "x.log", record=tmp_path / "x.json")


def test_a_command_name_with_spaces_and_parentheses_is_parsed() -> None:
    fields = " ".join(str(number) for number in range(4, 30))

    stat = processes.parse_stat(f"12 (a) b (c) S {fields}")

    assert (stat.state, stat.parent, stat.start_ticks) == ("S", 4, 22)


def test_a_started_process_leads_its_own_session_and_is_found_again(tmp_path: Path) -> None:
    record = start(tmp_path, SLEEP)

    assert processes.read_record(tmp_path / "x.json") == record
    assert processes.alive(record)
    assert os.getsid(record.pid) == record.pid
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o600
    processes.stop(record, grace_s=5)
    assert not processes.alive(record)


def test_it_runs_in_its_directory_and_writes_to_its_log(tmp_path: Path) -> None:
    record = start(tmp_path, "import os, sys; print(os.getcwd()); sys.stderr.write('err')")

    assert processes.wait_until_gone([record], 10)

    assert processes.tail(tmp_path / "logs" / "x.log", 5) == [str(tmp_path), "err"]


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    record = start(tmp_path, STUBBORN)
    while not processes.tail(tmp_path / "logs" / "x.log", 1):
        time.sleep(0.01)

    processes.stop(record, grace_s=0.2)

    assert not processes.alive(record)


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "an earlier boot"}])
def test_a_recycled_pid_is_neither_alive_nor_signalled(change: dict[str, int | str]) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEP]) as stranger:
        seen = processes.snapshot(stranger.pid)
        assert seen is not None
        fields = {"pid": seen.pid, "start_ticks": seen.start_ticks, "boot_id": seen.boot_id}
        record = processes.Record(**(fields | change), started_at=0.0, fingerprint="")

        processes.stop(record, grace_s=1)

        assert not processes.alive(record)
        assert stranger.poll() is None
        stranger.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}', b"null"])
def test_a_cut_off_record_counts_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)

    assert processes.read_record(path) is None


def test_a_log_over_the_limit_is_kept_once(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    for turn in range(3):
        log.write_bytes(bytes([turn]) * (processes.MAX_LOG_BYTES + 1))
        processes.rotate(log)

    assert log.stat().st_size == 0
    assert {path.name for path in tmp_path.iterdir()} == {"x.log", "x.log.1"}


def test_the_tail_of_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert processes.tail(tmp_path / "none.log", 5) == []
