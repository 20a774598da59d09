"""Bad surroundings: one clear message and exit code 6, from the real command."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import bare_python, make

from toolchain import paths

pytestmark = pytest.mark.integration

ROOT = paths.repo_root()


def test_a_wrong_python_is_told_what_to_do(tmp_path: Path) -> None:
    pretend = "import sys, runpy; sys.version_info = (3, 8, 18, 'final', 0);"
    pretend += "runpy.run_module('toolchain', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", pretend],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 6
    assert done.stderr.startswith("ML-HOST-001: this is Python 3.8; the pipeline needs Python 3.11")
    assert "Fix: apt-get install python3.11" in done.stderr


def test_a_wrong_python_hands_over_to_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "python3.11").write_text('#!/bin/sh\necho "right one: $*"\n')
    (tmp_path / "python3.11").chmod(0o755)
    pretend = "import sys, runpy; sys.argv[1:] = ['down']; sys.version_info = (3, 13, 0, 'final', 0);"
    pretend += "runpy.run_module('toolchain', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", pretend],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "right one: -m toolchain down\n"


def test_the_entry_can_be_read_by_old_pythons() -> None:
    for name in ("__init__.py", "__main__.py"):
        ast.parse((ROOT / "toolchain" / name).read_text(), feature_version=(3, 4))


def test_without_root_the_local_cluster_is_refused_at_once(tmp_path: Path) -> None:
    checkout = make(tmp_path)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    python = "/usr/bin/python3.11" if Path("/usr/bin/python3.11").exists() else bare_python()
    user = 65534 if os.geteuid() == 0 else None
    done = subprocess.run(
        [python, "-m", "toolchain", "up"],
        cwd=checkout.root,
        env={**checkout.env, "PYTHONDONTWRITEBYTECODE": "1"},
        user=user,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 6, done.stderr
    assert done.stderr.startswith("ML-HOST-005: the local cluster needs root, and this is user id")
    assert "MLP_KUBECONFIG" in done.stderr


def test_a_kubeconfig_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "toolchain", "up"],
        cwd=ROOT,
        env={**os.environ, "MLP_KUBECONFIG": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 6
    assert "ML-HOST-007: MLP_KUBECONFIG names" in done.stderr


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: u, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
    )
    code = (
        "import sys\nfrom toolchain import tools\nfrom toolchain.up import require_reachable\n"
        "from ml.errors import SurroundingsError\ntools.ensure(['kubernetes'])\n"
        "try:\n    require_reachable()\n"
        "except SurroundingsError as error:\n    print(error)\n    sys.exit(error.exit_code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "MLP_KUBECONFIG": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 6, done.stdout + done.stderr
    assert f"ML-HOST-007: the cluster of {config} does not answer" in done.stdout
    assert "refused" in done.stdout


def test_no_space_is_seen_before_anything_is_made(tmp_path: Path) -> None:
    checkout = make(tmp_path)
    code = (
        "import collections, shutil, sys\nfrom ml.errors import SurroundingsError\nfrom toolchain import host\n"
        "Usage = collections.namedtuple('Usage', 'total used free')\n"
        "shutil.disk_usage = lambda place: Usage(20 << 30, 18 << 30, 2 << 30)\n"
        "try:\n    host.require_space(cold=True)\n"
        "except SurroundingsError as error:\n    print(error)\n    sys.exit(6)\n"
    )

    done = checkout.python(code)

    assert done.returncode == 6
    assert "ML-HOST-004" in done.stdout
    assert "a cold build needs 15 GiB, 2.0 GiB are free" in done.stdout


def test_a_disk_that_fills_up_is_one_clear_message(tmp_path: Path) -> None:
    checkout = make(tmp_path)
    checkout.cache.mkdir()
    # Needs root, as the local cluster does.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(checkout.cache)], check=True)
    try:
        (checkout.root / "toolchain" / "bootstrap.py").write_text(
            "from pathlib import Path\nfrom toolchain import paths\n\n\ndef ensure(display):\n"
            "    (paths.cache() / 'filler').write_bytes(bytes(1 << 20))\n"
        )
        done = checkout.python("import sys\nfrom toolchain.command import main\nsys.exit(main(['setup']))\n")
    finally:
        subprocess.run(["umount", str(checkout.cache)], check=True)

    assert done.returncode == 6, done.stderr
    assert "ML-HOST-004: no space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_shows_an_example() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "toolchain", "up", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "example: python3 -m toolchain up --stack staging" in done.stdout
