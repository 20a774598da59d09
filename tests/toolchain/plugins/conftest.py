import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from toolchain import paths
from toolchain.tools import ensure

sys.path.insert(0, str(Path(__file__).parent))
import fake_engine

TOOLS = ("pulumi", "pulumi-language-python", "pulumi-resource-docker")


@pytest.fixture(scope="session")
def pulumi_tools() -> Path:
    """The real CLI and our own plugins; nothing is done when they are there."""
    ensure(TOOLS)
    return paths.venv_bin()


@dataclass
class Project:
    """A Pulumi project with a file backend of its own, driven by the real CLI."""

    root: Path
    env: dict[str, str]

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", *arguments],
            cwd=cwd or self.root,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", *arguments],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def succeed(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def fail(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def up(self) -> str:
        return self.succeed("up", "--yes", "--non-interactive", "--skip-preview")

    def output(self, name: str) -> str:
        return self.succeed("stack", "output", name, "--show-secrets").strip()


@pytest.fixture
def project(pulumi_tools: Path, tmp_path: Path) -> Project:
    root = tmp_path / "program"
    (tmp_path / "state").mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "MLP_", "DOCKER_"))}
    env = clean | {
        "PATH": f"{pulumi_tools}{os.pathsep}{os.environ['PATH']}",
        "PULUMI_HOME": str(tmp_path / "pulumi"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE": "for tests",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
    }
    made = Project(root, env)
    made.write("Pulumi.yaml", "name: demo\nruntime: python\n")
    made.write("__main__.py", "import pulumi\n")
    made.succeed("stack", "init", "test")
    return made


@pytest.fixture
def docker_engine() -> Iterator[fake_engine.FakeEngine]:
    # A short path of its own: a unix socket's name has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="mlp-"))
    engine, server = fake_engine.start(folder / "s")
    yield engine
    server.shutdown()
    server.server_close()
    shutil.rmtree(folder)
