"""Our language host under the real CLI: programs, configuration, errors, hooks, policy packs, interruption."""

import json
import signal
import threading
import time
from pathlib import Path

import pytest
from project import Project

pytestmark = pytest.mark.integration

PACK = """
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

def no_secret_names(args, report_violation):
    if args.resource_type == "demo:index:Thing" and args.props.get("colour") == "purple":
        report_violation("purple is no slot")

PolicyPack("pack", [ResourceValidationPolicy(name="colours", description="known colours", validate=no_secret_names,
    enforcement_level=EnforcementLevel.MANDATORY)], enforcement_level=EnforcementLevel.MANDATORY)
"""
THING = """
import pulumi
colour = pulumi.Config().get("colour") or "blue"

class Thing(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("demo:index:Thing", name, {"colour": colour}, opts)
        self.register_outputs({"colour": colour})

Thing("thing")
pulumi.export("colour", colour)
"""


def test_a_program_gets_its_configuration_and_its_exports_come_back(project: Project) -> None:
    project.write(
        "__main__.py",
        "import pulumi\n"
        "config = pulumi.Config()\n"
        "print('seen:', config.require('plain'))\n"
        "pulumi.export('plain', config.require('plain'))\n"
        "pulumi.export('slots', config.require_object('slots'))\n"
        "pulumi.export('hidden', config.require_secret('hidden'))\n"
        "pulumi.export('where', [pulumi.get_project(), pulumi.get_stack(), pulumi.get_organization()])\n"
        "pulumi.export('preview', pulumi.runtime.is_dry_run())\n",
    )
    project.succeed("config", "set", "plain", "text")
    project.succeed("config", "set", "--path", "slots.blue.release", "flights-0001")
    project.succeed("config", "set", "--secret", "hidden", "s3cret")

    said = project.up()

    outputs = json.loads(project.succeed("stack", "output", "--json"))
    assert outputs["plain"] == "text"
    assert outputs["slots"] == {"blue": {"release": "flights-0001"}}
    assert outputs["hidden"] == "[secret]"
    assert outputs["where"] == ["demo", "test", "organization"]
    assert outputs["preview"] is False
    assert "seen: text" in said
    assert "s3cret" not in said


def test_a_second_run_has_no_changes(project: Project) -> None:
    project.write("__main__.py", THING)
    project.up()

    project.succeed("up", "--yes", "--non-interactive", "--expect-no-changes")


def test_an_exception_is_shown_with_the_users_frames_only(project: Project) -> None:
    project.write("helper.py", "def divide(value):\n    return 1 / value\n")
    project.write("__main__.py", "from helper import divide\n\ndivide(0)\n")

    said = project.fail("preview", "--non-interactive")

    assert "ZeroDivisionError: division by zero" in said
    assert "helper.py" in said
    assert "return 1 / value" in said
    for frame in ("language_child", "language_host", "runpy", "run_in_stack", "asyncio"):
        assert frame not in said


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            "import pulumi\nraise pulumi.RunError('slot teal: must be blue or green')\n",
            "error: slot teal: must be blue",
        ),
        ("import sys\nsys.exit(3)\n", "the program ended with exit code 3"),
        ("def broken(:\n", "SyntaxError"),
    ],
    ids=["RunError", "exit code", "syntax"],
)
def test_a_program_that_gives_up_fails_the_preview(project: Project, program: str, words: str) -> None:
    project.write("__main__.py", program)

    said = project.fail("preview", "--non-interactive")

    assert words in said
    assert "language_child" not in said


def test_a_program_that_dies_is_reported(project: Project) -> None:
    project.write("__main__.py", "import os\nos._exit(9)\n")

    said = project.fail("preview", "--non-interactive")

    assert "exit code 9" in said


def test_a_failing_before_update_hook_stops_the_change(project: Project) -> None:
    project.write(
        "__main__.py",
        "import pulumi\n"
        "colour = pulumi.Config().get('colour') or 'blue'\n"
        "def guard(args):\n"
        "    print('guard saw', args.new_inputs['input'])\n"
        "    if args.new_inputs['input'] == 'purple':\n"
        "        raise Exception('slot purple has no ready endpoints')\n"
        "hooks = pulumi.ResourceHookBinding(before_update=[pulumi.ResourceHook('guard', guard)])\n"
        "thing = pulumi.Stash('live', input=colour, opts=pulumi.ResourceOptions(hooks=hooks))\n"
        "pulumi.export('colour', thing.input)\n",
    )
    project.up()
    project.succeed("config", "set", "colour", "green")
    assert "guard saw green" in project.up()
    project.succeed("config", "set", "colour", "purple")

    said = project.fail("up", "--yes", "--non-interactive", "--skip-preview")

    assert "slot purple has no ready endpoints" in said
    assert "green" in project.succeed("stack", "output", "colour")


def test_a_mandatory_policy_blocks_and_a_good_one_passes(project: Project) -> None:
    project.write("pack/PulumiPolicy.yaml", "runtime: python\nversion: 0.0.1\n")
    project.write("pack/__main__.py", PACK)
    project.write("__main__.py", THING)

    passed = project.succeed("preview", "--non-interactive", "--policy-pack", "pack")
    project.succeed("config", "set", "colour", "purple")
    blocked = project.fail("up", "--yes", "--non-interactive", "--policy-pack", "pack")

    assert "pack" in passed
    assert "purple is no slot" in blocked
    assert "mandatory" in blocked
    assert "Traceback" not in blocked


def test_a_broken_policy_pack_fails_with_its_own_error(project: Project) -> None:
    project.write("pack/PulumiPolicy.yaml", "runtime: python\nversion: 0.0.1\n")
    project.write("pack/__main__.py", "raise ValueError('no such rule file')\n")

    said = project.fail("preview", "--non-interactive", "--policy-pack", "pack")

    assert "no such rule file" in said


def test_an_interrupt_leaves_no_traceback_and_no_process(project: Project) -> None:
    marker = project.root / "running"
    project.write(
        "__main__.py",
        f"import os, pathlib, time\npathlib.Path({str(marker)!r}).write_text(str(os.getpid()))\ntime.sleep(60)\n",
    )
    running = project.start("preview", "--non-interactive")
    # Reads all the while: a full pipe would keep the CLI from ending.
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(running.stdout or ()))
    reader.start()
    deadline = time.monotonic() + 60
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    program = int(marker.read_text())

    running.send_signal(signal.SIGINT)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    code = running.wait(timeout=30)
    reader.join(timeout=10)
    running.stdout.close()

    said = "".join(lines)
    assert code != 0
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said
    deadline = time.monotonic() + 10
    while _alive(program) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(program)


def test_about_and_dependencies_answer(project: Project) -> None:
    said = project.succeed("about", "--json", "--transitive")

    about = json.loads(said[said.index("{") :])
    assert about["runtime"]["language"] == "python"
    assert about["runtime"]["version"].startswith("3.11")
    assert {"name": "pulumi-kubernetes", "version": "4.25.0"} in about["dependencies"]


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
