"""What the stacks name is there and may be served."""

import pytest

from ml.release import store
from ml.stack import config
from tests.meta.commands import ROOT

STACKS = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))


@pytest.mark.parametrize("stack", STACKS)
def test_every_release_of_a_stack_verifies_and_passed(stack: str) -> None:
    held = config.read(ROOT, stack).state.slots

    assert [str(problem) for item in held.values() for problem in store.inspect(ROOT, item.release)] == []
