import subprocess
import sys

import pytest

from ml.cli import GROUPS, main


def test_the_help_names_every_group_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"], ["-h"], ["help"]):
        assert main(words) == 0
        out = capsys.readouterr().out
        assert [name for name, group in GROUPS.items() if f"\n  {name} " not in out or group.example not in out] == []
    assert all(group.example.startswith(f"mlp {name}") for name, group in GROUPS.items())


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relaese", "create"]) == 2

    assert "did you mean release?" in capsys.readouterr().err


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release", "verify", "--no-such-option"]) == 2
    assert "No such option" in capsys.readouterr().err


def test_a_known_failure_is_one_message_and_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release", "verify", "no id"]) == 2

    err = capsys.readouterr().err
    assert err.startswith("ML-REL-003: ")
    assert "Traceback" not in err


def test_every_command_of_ours_explains_itself_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        ["release", name]
        for name in ("create", "show", "verify", "report", "diff", "history", "live-at", "sign", "stage", "publish")
    ]
    commands += [["keys", name] for name in ("create", "list", "trust", "revoke")]
    commands += [["api-key", "rotate"], ["api-key", "retire"], ["mlflow-password"], ["mlflow-password", "rotate"]]
    commands += [["database-password"], ["database-password", "rotate"]]
    for words in [*commands, ["promote"], ["rollback"], ["drift", "check"], ["scan"]]:
        assert main([*words, "--help"]) == 0
        assert f"Example: mlp {' '.join(words)}" in capsys.readouterr().out


def test_help_imports_no_group() -> None:
    script = (
        "import sys; from ml.cli import main; main(['--help']); "
        "sys.exit(any(m.startswith('ml.cli.') for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)

    assert done.returncode == 0


def test_an_interrupt_ends_without_a_traceback() -> None:
    script = (
        "import sys, ml.cli as c\n"
        "def stop(*a): raise KeyboardInterrupt\n"
        "c._command = stop\n"
        "sys.exit(c.main(['release']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (130, "")
