"""One stack under the real CLI: passphrase, locks, deadline, errors."""

import json
import re
import stat
import time
from pathlib import Path

import psutil
import pytest
from project import Project

from ml.errors import PipelineError, SurroundingsError, TransientError
from toolchain.stack import Stack

pytestmark = pytest.mark.integration

SLEEPS = "import pathlib, time\npathlib.Path('running').write_text('x')\ntime.sleep(60)\n"


@pytest.fixture
def home(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLP_HOME", str(tmp_path / "home"))
    del project.env["PULUMI_CONFIG_PASSPHRASE"]
    project.env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(tmp_path / "home" / "passphrase")
    project.env["PULUMI_BACKEND_URL"] = f"file://{tmp_path}/other-state"
    (project.root / "Pulumi.test.yaml").unlink(missing_ok=True)
    return tmp_path / "home"


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def test_the_first_preparation_makes_passphrase_backend_and_stack(project: Project, home: Path) -> None:
    stack = Stack("test", project.env, project.root)

    stack.prepare()
    first = (home / "passphrase").read_text()
    stack.prepare()

    assert len(first) >= 32
    assert (home / "passphrase").read_text() == first
    assert stat.S_IMODE((home / "passphrase").stat().st_mode) == 0o600
    stack.up(None)


def test_a_second_checkout_takes_the_salt_of_the_state(project: Project, home: Path) -> None:
    Stack("test", project.env, project.root).prepare()
    Stack("test", project.env, project.root).up(None)
    settings = project.root / "Pulumi.test.yaml"
    first = re.search(r"encryptionsalt: \S+", settings.read_text())
    settings.write_text("config:\n  demo:a: b\n")

    Stack("test", project.env, project.root).prepare()
    Stack("test", project.env, project.root).up(None)

    assert first is not None
    assert first[0] in settings.read_text()
    assert "demo:a: b" in settings.read_text()


def test_another_machines_salt_is_dropped_when_nothing_is_encrypted_with_it(project: Project, home: Path) -> None:
    project.write("Pulumi.test.yaml", "encryptionsalt: v1:xyz:v1:abc\nconfig:\n  demo:a: b\n")

    Stack("test", project.env, project.root).prepare()

    text = (project.root / "Pulumi.test.yaml").read_text()
    assert "v1:xyz" not in text
    assert "demo:a: b" in text


def test_a_second_checkout_with_another_machines_salt_takes_that_of_the_state(project: Project, home: Path) -> None:
    project.write("Pulumi.test.yaml", "encryptionsalt: v1:xyz:v1:abc\nconfig:\n  demo:a: b\n")
    committed = (project.root / "Pulumi.test.yaml").read_text()
    Stack("test", project.env, project.root).prepare()
    Stack("test", project.env, project.root).up(None)
    own = re.search(r"encryptionsalt: \S+", (project.root / "Pulumi.test.yaml").read_text())
    # A salt of another passphrase, as the CLI wrote it, so that it is well-formed.
    foreign = "v1:/VszO5rJr6w=:v1:HFTqkbqcGFUfLSkV:xZY2EaAQNRwFTDITYCt87qF3C3uuvw=="
    project.write("Pulumi.test.yaml", committed.replace("v1:xyz:v1:abc", foreign))

    Stack("test", project.env, project.root).prepare()
    Stack("test", project.env, project.root).up(None)

    text = (project.root / "Pulumi.test.yaml").read_text()
    assert own is not None
    assert own[0] in text
    assert foreign not in text


def test_a_wrong_passphrase_leaves_the_settings_as_they_were(project: Project, home: Path) -> None:
    Stack("test", project.env, project.root).prepare()
    Stack("test", project.env, project.root).up(None)
    settings = project.root / "Pulumi.test.yaml"
    before = settings.read_bytes()
    (home / "passphrase").write_text("another")

    Stack("test", project.env, project.root).prepare()
    with pytest.raises(SurroundingsError, match="ML-HOST-008"):
        Stack("test", project.env, project.root).up(None)

    assert settings.read_bytes() == before


def test_a_wrong_passphrase_is_one_clear_message(project: Project) -> None:
    project.succeed("config", "set", "--secret", "token", "s3cret")
    wrong = project.env | {"PULUMI_CONFIG_PASSPHRASE": "another"}

    with pytest.raises(SurroundingsError) as caught:
        Stack("test", wrong, project.root).up(None)

    assert caught.value.code == "ML-HOST-008"
    assert caught.value.exit_code == 6
    assert "does not open the secrets of stack 'test'" in str(caught.value)
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in str(caught.value)


def test_the_lock_of_a_killed_pulumi_is_cleared(project: Project) -> None:
    project.write("__main__.py", SLEEPS)
    killed = project.start("up", "--yes", "--non-interactive", "--skip-preview")
    wait_for(project.root / "running")
    killed.kill()
    killed.communicate()
    project.write("__main__.py", "import pulumi\npulumi.export('a', 1)\n")
    stack = Stack("test", project.env, project.root)
    with pytest.raises(PipelineError):
        stack.up(None)

    stack.clear_dead_lock()
    stack.up(None)

    assert project.output("a") == "1"


def test_the_plugins_of_a_killed_pulumi_end_as_well(project: Project) -> None:
    project.write("__main__.py", SLEEPS)
    killed = project.start("up", "--yes", "--non-interactive", "--skip-preview")
    wait_for(project.root / "running")
    plugins = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.communicate()

    _, alive = psutil.wait_procs(plugins, timeout=20)

    assert len(plugins) >= 2, "control: a language host and the program were there"
    assert alive == []


def _begin(project: Project, token: str, inputs: dict[str, object]) -> None:
    """Make the state say that a killed update was creating a resource; `pulumi stack import` would drop that."""
    [file] = Path(project.env["PULUMI_BACKEND_URL"].removeprefix("file://")).glob(".pulumi/stacks/*/test.json")
    state = json.loads(file.read_text())
    latest = state["checkpoint"]["latest"]
    root = latest["resources"][0]["urn"].split("::")
    urn = "::".join([*root[:2], token, "begun"])
    resource = {"urn": urn, "type": token, "custom": True, "inputs": inputs}
    latest["pending_operations"] = [{"type": "creating", "resource": resource}]
    file.write_text(json.dumps(state))


def _pending(project: Project) -> list[object]:
    found: list[object] = json.loads(project.succeed("stack", "export"))["deployment"].get("pending_operations") or []
    return found


def test_a_creation_that_nobody_saw_the_end_of_is_settled(project: Project) -> None:
    project.write("__main__.py", "import pulumi\npulumi.export('a', 1)\n")
    project.up()
    _begin(project, "docker:index/image:Image", {})
    assert _pending(project), "control: the state really says so"

    Stack("test", project.env, project.root).recover()

    assert _pending(project) == []


def test_nothing_is_settled_while_the_cluster_cannot_be_asked(project: Project, tmp_path: Path) -> None:
    project.write("__main__.py", "import pulumi\npulumi.export('a', 1)\n")
    project.up()
    _begin(project, "kubernetes:core/v1:ConfigMap", {"metadata": {"name": "a", "namespace": "b"}})
    env = {**project.env, "KUBECONFIG": str(tmp_path / "none")}

    with pytest.raises(SurroundingsError, match="ML-HOST-016"):
        Stack("test", env, project.root).recover()

    assert _pending(project)


def test_the_lock_of_a_running_pulumi_is_respected(project: Project) -> None:
    project.write("__main__.py", SLEEPS)
    running = project.start("up", "--yes", "--non-interactive", "--skip-preview")
    wait_for(project.root / "running")

    with pytest.raises(SurroundingsError) as caught:
        Stack("test", project.env, project.root).clear_dead_lock()
    running.kill()
    running.communicate()

    assert caught.value.code == "ML-HOST-009"
    assert str(running.pid) in str(caught.value)


def test_an_update_that_takes_too_long_is_interrupted(project: Project) -> None:
    project.write("__main__.py", SLEEPS)
    started = time.monotonic()

    with pytest.raises(TransientError, match="ML-HOST-011"):
        Stack("test", project.env, project.root).up(None, deadline_s=6)

    assert time.monotonic() - started < 50


def test_a_failed_update_points_to_pulumis_own_words(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.write("__main__.py", "import pulumi\nraise pulumi.RunError('slot teal is no slot')\n")

    with pytest.raises(PipelineError) as caught:
        Stack("test", project.env, project.root).up(None)

    assert re.search(r"ML-HOST-010: pulumi up --stack test failed with exit code \d+", str(caught.value))
    assert "slot teal is no slot" in capfd.readouterr().out


def test_the_stacks_outputs_come_as_text(project: Project) -> None:
    project.write("__main__.py", "import pulumi\npulumi.export('urls', {'model': 'http://127.0.0.1:30080'})\n")
    stack = Stack("test", project.env, project.root)
    stack.up(None)

    assert "30080" in stack.capture("stack", "output", "--json", "--stack", "test")


def test_pulumi_is_told_to_ask_nothing(project: Project) -> None:
    with pytest.raises(PipelineError, match="ML-HOST-010"):
        Stack("absent", project.env, project.root).capture("stack", "output", "--stack", "absent")
