"""The Python environment: a no-op when it is there, and what a shell gets from it."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from checkout import bare_python, make

from toolchain import bootstrap, paths

pytestmark = pytest.mark.integration


def test_a_complete_environment_is_left_alone_in_no_time(tmp_path: Path) -> None:
    checkout = make(tmp_path)
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(paths.repo_root() / name, checkout.root / name)
    (checkout.root / ".venv" / "bin").mkdir(parents=True)
    (checkout.root / ".venv" / "bin" / "python").symlink_to(bare_python())
    stamp = "import json\nfrom toolchain import bootstrap, paths\n"
    stamp += "(paths.venv() / 'mlp-stamp.json').write_text(json.dumps(bootstrap._stamp()))\n"
    assert checkout.python(stamp).returncode == 0
    again = "from toolchain import bootstrap\nfrom toolchain.display import Display\nbootstrap.ensure(Display())\n"

    started = time.monotonic()
    done = checkout.python(again)

    assert (done.returncode, done.stdout) == (0, "")
    assert time.monotonic() - started < 5
    (checkout.root / "requirements.txt").write_text("changed\n")
    (checkout.root / ".venv" / "bin" / "python").unlink()
    checkout.env["PIP_NO_INDEX"] = "1"
    checkout.env["PIP_FIND_LINKS"] = ""
    failed = checkout.python("import sys\nfrom toolchain.command import main\nsys.exit(main(['setup']))\n")
    assert failed.returncode == 6, failed.stdout + failed.stderr
    assert "ML-HOST-003: installing uv failed" in failed.stderr
    assert "the same command" in failed.stderr


def test_the_toolchain_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    checkout = make(tmp_path)
    modules = "bootstrap, command, display, environment, host, images, locks, paths, pins, reach, run, stack, tools"

    done = checkout.python(f"from toolchain import {modules}")

    assert done.returncode == 0, done.stderr


def test_shells_get_the_environment_from_activate(tmp_path: Path) -> None:
    bootstrap._write_shell_lines()
    bootstrap._write_shell_lines()
    line = f'. "{paths.venv()}/mlp-env.sh"'
    text = (paths.venv_bin() / "activate").read_text()

    assert text.count(line) == 1
    clean = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    said = subprocess.run(
        ["sh", "-c", f". {paths.venv_bin()}/activate; command -v python; echo $PULUMI_BACKEND_URL"],
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert said == [str(paths.venv_bin() / "python"), f"file://{tmp_path}/.local/share/ml-pipeline/state"]


def test_uv_gets_the_systems_certificates_unless_told_otherwise() -> None:
    given = bootstrap.certificates({"SSL_CERT_FILE": "/mine"})
    system = bootstrap.certificates({})

    assert given["SSL_CERT_FILE"] == "/mine"
    assert system.get("SSL_CERT_FILE") == (str(bootstrap.CERTIFICATES) if bootstrap.CERTIFICATES.exists() else None)
