import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.backing import images
from infra.names import KNOWN_IMAGES
from ml.errors import ConfigError

ROOT = Path(__file__).parents[3]
OURS = ("kube-state-metrics", "mlflow", "postgres", "prometheus", "training", "worker")


@pytest.fixture
def checkout(tmp_path):
    """A small repository with everything that the contexts are made of."""
    files = {
        "images/worker/Dockerfile": "FROM x",
        "images/worker/requirements.txt": "numpy",
        "images/kube-state-metrics/Dockerfile": "FROM x",
        "ml/__init__.py": "",
        "ml/errors.py": "",
        "ml/drift/__init__.py": "",
        "ml/drift/__main__.py": "from ml import errors",
        "ml/delivery/__init__.py": "",
        "ml/delivery/__main__.py": "from infra import names",
        "ml/release/schema/ledger.json": "{}",
        "infra/__init__.py": "",
        "infra/names.py": "",
        "infra/settings.py": "",
        "ml/serving/__init__.py": "",
        ".build/images/kube-state-metrics/kube-state-metrics": "binary",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_platform_image_has_a_dockerfile():
    assert sorted(KNOWN_IMAGES) == sorted(OURS)
    assert all((ROOT / "images" / name / "Dockerfile").is_file() for name in OURS)


def test_the_worker_gets_what_it_imports_of_ours_and_nothing_else(checkout):
    folder = images.context(checkout, "worker")

    assert files_of(folder) == {
        "Dockerfile",
        "requirements.txt",
        "ml/__init__.py",
        "ml/errors.py",
        "ml/drift/__init__.py",
        "ml/drift/__main__.py",
        "ml/delivery/__init__.py",
        "ml/delivery/__main__.py",
        "ml/release/schema/ledger.json",
        "infra/__init__.py",
        "infra/names.py",
    }


def test_the_real_worker_carries_no_library_that_its_image_does_not_install():
    folder = images.context(ROOT, "worker")
    text = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE))

    for library in ("pandas", "mlflow", "sklearn", "onnxruntime", "pulumi", "typer", "rich"):
        assert library not in imported


@pytest.mark.integration
def test_the_training_image_holds_the_code_that_trains_under_the_same_identity():
    folder = images.context(ROOT, "training") / "app"
    script = (
        "import json; from ml.training import lineage; from ml.problem import current; import ml.training.worker\n"
        "print(json.dumps([lineage.tree_sha256(current().package), lineage.lock_sha256()]))"
    )

    def identity(root):
        environment = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
        environment["MLP_PROBLEM"] = images.problem_package(ROOT)
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    assert identity(folder) == identity(ROOT)
    assert not (folder / "infra").exists()
    assert not (folder / "ml" / "serving" / "server.py").exists(), "a model is predicted with here, never served"


@pytest.mark.integration
def test_the_training_image_holds_what_a_batch_worker_imports():
    folder = images.context(ROOT, "training") / "app"
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}

    for module in images.BATCH_ENTRIES:
        command = [sys.executable, "-m", module.removesuffix(".__main__"), "--help"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_context_that_is_right_is_not_touched_and_leftovers_go(checkout):
    folder = images.context(checkout, "worker")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    (folder / "ml" / "old").mkdir()
    (folder / "ml" / "old" / "left.py").write_text("")

    images.context(checkout, "worker")

    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    assert not (folder / "ml" / "old").exists()


def test_the_binary_of_kube_state_metrics_stays_beside_its_dockerfile(checkout):
    assert files_of(images.context(checkout, "kube-state-metrics")) == {"Dockerfile", "kube-state-metrics"}


def test_a_missing_binary_is_named_with_the_command_that_makes_it(checkout):
    (checkout / ".build/images/kube-state-metrics/kube-state-metrics").unlink()

    with pytest.raises(ConfigError, match=r"ML-CONF-020.*kube-state-metrics.*\n.*make setup"):
        images.context(checkout, "kube-state-metrics")


@pytest.mark.parametrize("name", OURS)
def test_an_image_runs_as_our_uid_on_the_given_base_and_says_how_healthy_it_is(name):
    text = (ROOT / "images" / name / "Dockerfile").read_text()
    instructions = [line for line in text.splitlines() if not line.startswith("#")]

    assert instructions[0] == "ARG BASE_IMAGE"
    assert {line.split(" AS ")[0] for line in instructions if line.startswith("FROM")} == {"FROM ${BASE_IMAGE}"}
    assert "USER 10001:10001" in instructions
    assert any(line.startswith("HEALTHCHECK") for line in instructions)


@pytest.mark.parametrize("name", ["mlflow", "training", "worker"])
def test_every_python_package_of_an_image_is_pinned_by_hash_to_the_version_of_the_project(name):
    def pins(path):
        return dict(
            re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", path.read_text(), re.MULTILINE | re.IGNORECASE)
        )

    image, project = pins(ROOT / "images" / name / "requirements.txt"), pins(ROOT / "requirements.txt")
    text = (ROOT / "images" / name / "requirements.txt").read_text()

    assert len(
        re.findall(r"^[a-z0-9._-]+(?:\[[a-z,]+\])?==\S+ \\\n    --hash=sha256:", text, re.MULTILINE | re.IGNORECASE)
    ) == len(image)
    assert {package: version for package, version in image.items() if project.get(package, version) != version} == {}
