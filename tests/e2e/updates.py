"""Updates that are begun and not left in peace: started, killed, and what they leave in the state and the cluster."""

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any, Final

from tests.e2e.drills import UP
from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING

OWNED: Final = (
    "deployments,services,jobs,configmaps,secrets,serviceaccounts,horizontalpodautoscalers,poddisruptionbudgets"
)


def turn(machine: Machine) -> None:
    """Edit the one line of the configuration by which the next update moves the traffic, and makes new Jobs."""
    file, live = machine.clone / "Pulumi.staging.yaml", configured(machine)
    other = "green" if live == "blue" else "blue"
    file.write_text(file.read_text().replace(f"ml-pipeline:live: {live}\n", f"ml-pipeline:live: {other}\n"))
    assert configured(machine) == other


def configured(machine: Machine) -> str:
    """The slot that the stack's file says is live."""
    text = (machine.clone / "Pulumi.staging.yaml").read_text()
    return text.partition("ml-pipeline:live:")[2].split()[0]


def start(machine: Machine, *command: str) -> "subprocess.Popen[str]":
    """An update of the stack, or another command, as a process of its own."""
    environment = {**machine.environment, "MLP_HOME": str(machine.home)}
    return subprocess.Popen(
        ["bash", "-c", '. .venv/bin/activate && exec "$@"', "bash", *(command or UP)],
        cwd=machine.clone,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def kill_after(machine: Machine, seconds: float, by: signal.Signals = signal.SIGKILL) -> bool:
    """Whether the update was still running; what a killed one has started ends by itself, as after any crash."""
    with start(machine) as update:
        try:
            update.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            update.send_signal(by)
            if by is not signal.SIGKILL:  # it still has things to say, and to finish
                update.communicate(timeout=180)
            return True
    return False


def _state(machine: Machine) -> Any:
    """What Pulumi wrote last, read where it wrote it: asking the CLI fifty times would take minutes."""
    file = machine.home / "state" / ".pulumi" / "stacks" / "ml-pipeline" / "staging.json"
    return json.loads(file.read_bytes())["checkpoint"]["latest"]


def pending(machine: Machine) -> list[Any]:
    """Creations that nobody saw the end of."""
    return [one for one in _state(machine).get("pending_operations") or [] if one["type"] == "creating"]


def orphans(machine: Machine) -> set[str]:
    """Objects that carry our label and that the state does not know."""
    known = {resource["id"] for resource in _state(machine)["resources"] if resource.get("custom")}
    return {f"{kind}/{name}" for kind, name in _labelled(machine) if f"{STAGING}/{name}" not in known}


def _labelled(machine: Machine) -> Iterator[tuple[str, str]]:
    selector = "app.kubernetes.io/part-of=ml-pipeline,app.kubernetes.io/managed-by=pulumi"
    for item in machine.kubectl("get", OWNED, "-n", STAGING, "-l", selector)["items"]:
        # The ledger is written by whoever moves the traffic, and belongs to no update.
        if not (item["metadata"].get("ownerReferences") or item["metadata"]["name"].startswith("release-ledger-")):
            yield item["kind"], item["metadata"]["name"]
