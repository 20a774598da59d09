"""What the commands that edit a stack file share: what the cluster tells, and the change as the user sees it."""

import sys
from pathlib import Path

from ml.errors import ConfigError, SurroundingsError
from ml.release import store, succession
from ml.stack import cluster, config
from ml.stack.slots import Running, State, other


def known_running(stack: str, file: config.StackFile) -> Running | None:
    """What the cluster runs; None, with a word on standard error, when it cannot be asked."""
    try:
        return cluster.running(cluster.objects(stack, file.kube_context))
    except (SurroundingsError, ConfigError) as error:
        print(f"note: the cluster was not asked what it runs ({error.message})", file=sys.stderr)
        return None


def require_linked(root: Path, state: State) -> None:
    """Refuse slots that the Pulumi program would refuse, before the file is edited.

    Raises:
        GateError: If the live slot's release and the other one's were never judged against each other.
    """
    held = state.slots.get(other(state.live))
    if state.live_held is not None and held is not None:
        succession.require(root, store.verify(root, state.live_held.release), store.verify(root, held.release))


def save(file: config.StackFile, state: State) -> bool:
    """Write the state into the stack file and print the difference; False when there is none."""
    text = config.render(file, state)
    if text == file.text:
        live = state.live_held
        print(
            f"{file.path.name}: nothing to change; {live.release if live else 'nothing'} is live in slot {state.live}"
        )
        return False
    config.write(file, text)
    print(config.difference(file, text))
    return True
