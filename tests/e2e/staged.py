"""Puts a release with a fault of its own into the idle slot's configuration."""

from datetime import UTC, datetime

from ml.release.signing import signer
from tests.e2e.crafted import Graft, Trigger, craft
from tests.e2e.machine import Machine
from tests.e2e.two_releases import SECOND


def stage_crafted(machine: Machine, release: str, trigger: Trigger, graft: Graft) -> None:
    """Make it from the second release, unless it is there, and stage it; the first release must be live."""
    if not (machine.clone / "releases" / release).exists():
        key = signer(machine.clone, machine.home, {}, now=datetime.now(tz=UTC))
        craft(machine.clone / "releases" / SECOND, machine.clone, release, (trigger, graft), key)
    machine.run("mlp", "release", "verify", release)
    machine.run("mlp", "release", "stage", release, "--stack", "staging")
