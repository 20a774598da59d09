"""Jobs that the stack's file asks for: asked for, looked at, and waited for."""

from collections.abc import Mapping
from typing import Any

from tests.e2e.drills import UP
from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING


def ask_for(machine: Machine, section: str, wanted: Mapping[str, object]) -> None:
    """Write a section of the stack's file, and bring the stack to it."""
    for name, value in wanted.items():
        command = ("pulumi", "config", "set", "--stack", "staging", "--path", f"ml-pipeline:{section}.{name}")
        machine.run(*command, str(value))
    machine.run(*UP, timeout_s=1500)


def pods_of(machine: Machine, job: str) -> list[dict[str, Any]]:
    """Every pod of a Job, those that have ended as well."""
    return list(machine.kubectl("get", "pods", "-n", STAGING, "-l", f"job-name={job}")["items"])


def succeeded(machine: Machine, job: str) -> int:
    """How many of a Job's indexes are done; it must not have failed."""
    status = machine.kubectl("get", "job", job, "-n", STAGING)["status"]
    assert not [c for c in status.get("conditions", []) if c["type"] == "Failed" and c["status"] == "True"], status
    return int(status.get("succeeded") or 0)
