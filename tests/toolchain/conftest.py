import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain import paths
from toolchain.tools import ensure

sys.path.insert(0, str(Path(__file__).parent))
import fake_engine
from project import Project

TOOLS = ("pulumi", "pulumi-language-python", "pulumi-resource-docker")


@pytest.fixture(scope="session")
def pulumi_tools() -> Path:
    """The real CLI and our own plugins; nothing is done when they are there."""
    ensure(TOOLS)
    return paths.venv_bin()


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
